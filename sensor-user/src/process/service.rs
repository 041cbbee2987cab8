//! A name for a process that does not name itself: what it runs.
//!
//! An interpreter is not a service, so for the known ones the script, module, archive or main class
//! that the command line names is taken. Options are skipped by each interpreter's own rules; where
//! the command line does not tell (inline code, standard input, an argument file), the answer is
//! `None`, and the executable's name will do.

/// The name by the command line of `executable` (its file name), if it is a known interpreter.
/// `args` begins with the program's own name.
pub(super) fn name(executable: &str, args: &[&str]) -> Option<String> {
    if let Some(name) = args.first().and_then(|title| from_title(title)) {
        return Some(name);
    }
    let args = args.get(1..)?;
    // python3.11, ruby3.1, php8.2, perl5.36.0; not php-fpm8.2, which is no interpreter of one script.
    match executable.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.') {
        "python" | "pypy" => python(args),
        "node" | "nodejs" => script_after(args, &NODE),
        "bun" => script_after(without(args, &["run", "x"]), &BUN),
        "deno" => script_after(args.strip_prefix(&["run"])?, &DENO),
        "java" => java(args),
        "ruby" => script_after(args, &RUBY),
        "perl" => script_after(args, &PERL),
        "php" => php(args),
        "dotnet" => args.iter().find(|arg| arg.ends_with(".dll")).and_then(|dll| stem(dll)),
        "uwsgi" => uwsgi(args),
        _ => None,
    }
}

/// Servers that write over their command line: `gunicorn: worker [app:wsgi]`,
/// `puma 6.4.2 (tcp://0.0.0.0:3000) [shop]`.
fn from_title(title: &str) -> Option<String> {
    let server = ["gunicorn: ", "puma ", "puma: "].iter().any(|name| title.starts_with(name));
    let (_, name) = title.strip_suffix(']')?.rsplit_once('[')?;
    let name = name.split(':').next()?;
    (server && !name.is_empty()).then(|| name.to_owned())
}

/// How an interpreter's options are told from the script.
struct Options {
    /// Options whose value is the next argument.
    valued: &'static [&'static str],
    /// Options that give the program itself.
    inline: &'static [&'static str],
}

const NODE: Options = Options {
    valued: &[
        "-r",
        "--require",
        "--import",
        "--loader",
        "--experimental-loader",
        "-C",
        "--conditions",
        "--env-file",
        "--title",
        "--icu-data-dir",
        "--input-type",
    ],
    inline: &["-e", "--eval", "-p", "--print", "-pe", "-i", "--interactive", "--run", "--test"],
};
const BUN: Options =
    Options { valued: &["-r", "--preload", "--cwd", "-c", "--config"], inline: &["-e", "--eval"] };
const DENO: Options = Options { valued: &["-c", "--config", "--import-map"], inline: &[] };
const RUBY: Options = Options { valued: &["-r", "-I", "-C", "-E", "--encoding"], inline: &["-e"] };
const PERL: Options = Options { valued: &["-I"], inline: &["-e", "-E"] };

/// The script that follows the options.
fn script_after(args: &[&str], options: &Options) -> Option<String> {
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        match arg {
            "--" => return args.next().and_then(|script| script_name(script)),
            "-" => return None,
            arg if options.inline.contains(&arg) => return None,
            arg if options.valued.contains(&arg) => {
                args.next();
            }
            arg if arg.starts_with('-') => {}
            script => return script_name(script),
        }
    }
    None
}

/// <https://docs.python.org/3/using/cmdline.html>
fn python(args: &[&str]) -> Option<String> {
    let mut rest = args;
    while let Some((&arg, after)) = rest.split_first() {
        rest = after;
        let Some(letters) = arg.strip_prefix('-') else {
            return launched(basename(arg), rest).or_else(|| script_name(arg));
        };
        match letters {
            "" => return None,
            "-check-hash-based-pycs" => rest = rest.get(1..)?,
            long if long.starts_with('-') => {}
            // Letters may be joined, and a value may follow within the argument.
            letters => {
                let at = letters.find(['c', 'm', 'W', 'X']);
                let Some(at) = at else { continue };
                let joined = &letters[at + 1..];
                match &letters[at..=at] {
                    "c" => return None,
                    "m" if joined.is_empty() => {
                        let (&module, after) = rest.split_first()?;
                        return launched(module, after).or_else(|| nonempty(module));
                    }
                    "m" => return launched(joined, rest).or_else(|| nonempty(joined)),
                    _ if joined.is_empty() => rest = rest.get(1..)?,
                    _ => {}
                }
            }
        }
    }
    None
}

/// Launchers of applications, which are named as `package.module:application`.
fn launched(launcher: &str, args: &[&str]) -> Option<String> {
    const LAUNCHERS: [&str; 6] =
        ["gunicorn", "uvicorn", "hypercorn", "daphne", "waitress-serve", "granian"];
    LAUNCHERS.contains(&launcher).then(|| args.iter().find_map(|arg| module_of(arg)))?
}

/// `package.module` of `package.module:application`; addresses and URLs are something else.
fn module_of(arg: &str) -> Option<String> {
    let (module, application) = arg.split_once(':')?;
    let identifier = |text: &str| {
        let mut bytes = text.bytes();
        bytes.next().is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let application = application.strip_suffix("()").unwrap_or(application);
    let is = module.split('.').all(identifier) && application.split('.').all(identifier);
    is.then(|| module.to_owned())
}

/// <https://docs.oracle.com/en/java/javase/21/docs/specs/man/java.html>
fn java(args: &[&str]) -> Option<String> {
    const VALUED: [&str; 13] = [
        "-cp",
        "-classpath",
        "--class-path",
        "-p",
        "--module-path",
        "--upgrade-module-path",
        "--add-modules",
        "--add-exports",
        "--add-opens",
        "--add-reads",
        "--patch-module",
        "--limit-modules",
        "--source",
    ];
    let simple = |class: &str| class.rsplit(['.', '/']).next().and_then(nonempty);
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        match arg {
            "-jar" => return args.next().and_then(|jar| stem(jar)),
            "-m" | "--module" => return args.next().and_then(|module| java_module(module)),
            arg if arg.starts_with('@') => return None,
            arg if VALUED.contains(&arg) => {
                args.next();
            }
            arg if arg.starts_with("--module=") => return java_module(&arg["--module=".len()..]),
            arg if arg.starts_with('-') => {}
            source if source.ends_with(".java") => return stem(source),
            class => return simple(class),
        }
    }
    None
}

/// `module/package.Class`, or `module`.
fn java_module(module: &str) -> Option<String> {
    match module.split_once('/') {
        Some((_, class)) => class.rsplit('.').next().and_then(nonempty),
        None => nonempty(module),
    }
}

/// <https://www.php.net/manual/en/features.commandline.options.php>
fn php(args: &[&str]) -> Option<String> {
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        match arg {
            "-f" | "--file" => return args.next().and_then(|script| script_name(script)),
            "-r" | "--run" | "-a" | "-" => return None,
            "-S" | "--server" | "-t" | "--docroot" | "-d" | "--define" | "-c" | "--php-ini" => {
                args.next();
            }
            arg if arg.starts_with('-') => {}
            script => return script_name(script),
        }
    }
    None
}

/// <https://uwsgi-docs.readthedocs.io/en/latest/Options.html>
fn uwsgi(args: &[&str]) -> Option<String> {
    let mut args = args.iter();
    while let Some(&arg) = args.next() {
        let (option, joined) = arg.split_once('=').map_or((arg, None), |(o, v)| (o, Some(v)));
        let mut value = || joined.or_else(|| args.next().copied());
        match option {
            "-w" | "--module" | "--wsgi" => return value()?.split(':').next().and_then(nonempty),
            "--wsgi-file" | "--file" => return value().and_then(script_name),
            _ => {}
        }
    }
    None
}

/// `args` without a first word that is one of `words`.
fn without<'a, 'b>(args: &'a [&'b str], words: &[&str]) -> &'a [&'b str] {
    match args {
        [first, rest @ ..] if words.contains(first) => rest,
        _ => args,
    }
}

/// A script's file name without its extension. Of names that only say "begin here", the directory
/// tells more: `shop/dist/index.js` is `shop`.
fn script_name(path: &str) -> Option<String> {
    const ENTRIES: [&str; 2] = ["index", "__main__"];
    const BUILD: [&str; 7] = ["dist", "build", "lib", "src", "out", "bin", "."];
    let name = stem(path)?;
    if !ENTRIES.contains(&name.as_str()) {
        return Some(name);
    }
    let mut directories = path.rsplit('/').skip(1);
    let telling = directories.find(|name| !BUILD.contains(name));
    match telling {
        None | Some("" | "..") => Some(name),
        Some(directory) => Some(directory.to_owned()),
    }
}

/// A file's name without the extension of a program.
fn stem(path: &str) -> Option<String> {
    const EXTENSIONS: [&str; 16] = [
        "py", "pyc", "pyz", "js", "mjs", "cjs", "ts", "mts", "tsx", "rb", "ru", "pl", "php", "jar",
        "java", "dll",
    ];
    let name = basename(path);
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && EXTENSIONS.contains(&extension) => {
            Some(stem.to_owned())
        }
        _ => nonempty(name),
    }
}

/// The part after the last slash.
pub(super) fn basename(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn nonempty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
