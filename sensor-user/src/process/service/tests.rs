use super::*;

/// The name for a command line, whose first word is the executable.
fn named(command: &str) -> Option<String> {
    let args: Vec<&str> = command.split(' ').collect();
    name(basename(args[0]), &args)
}

#[test]
fn interpreters_are_named_by_what_they_run() {
    for (command, expected) in [
        ("/usr/bin/python3.11 app.py", "app"),
        ("python3 -u -OO /srv/shop/worker.py --port 80", "worker"),
        ("python -m http.server 8000", "http.server"),
        ("python -Im http.server", "http.server"),
        ("python -mshop.api", "shop.api"),
        ("python3 -W ignore -X dev -Werror -Xfrozen_modules=off app.py", "app"),
        ("python3 --check-hash-based-pycs never app.py", "app"),
        ("python3 /opt/shop/__main__.py", "shop"),
        ("pypy3 app.py", "app"),
        ("python3 /usr/bin/gunicorn -w 4 --bind 0.0.0.0:8000 shop.wsgi:application", "shop.wsgi"),
        ("python3 /usr/bin/gunicorn -b localhost:8000 app:create_app()", "app"),
        ("python3 -m uvicorn main:app --reload", "main"),
        ("python3 /usr/bin/gunicorn app", "gunicorn"),
        ("node server.js", "server"),
        ("node --max-old-space-size=512 -r dotenv/config --import tsx src/api.ts", "api"),
        ("/usr/bin/node dist/index.js", "index"),
        ("node /srv/shop/dist/index.js", "shop"),
        ("node ./index.js", "index"),
        ("node ../index.js", "index"),
        ("nodejs -- server.mjs", "server"),
        ("bun run api.ts", "api"),
        ("bun api.ts", "api"),
        ("deno run --allow-net main.ts", "main"),
        ("java -Xmx1g -jar /opt/shop-1.0.jar --server.port=80", "shop-1.0"),
        ("java -cp a.jar:b.jar -Dx=y com.example.shop.Main arg", "Main"),
        ("/usr/lib/jvm/bin/java --add-opens java.base/java.lang=ALL-UNNAMED Main", "Main"),
        ("java -p mods -m shop/com.example.Main", "Main"),
        ("java --module=shop", "shop"),
        ("java Server.java", "Server"),
        ("ruby -r bundler/setup -W0 app.rb", "app"),
        ("ruby /usr/local/bin/puma -C config/puma.rb", "puma"),
        ("perl -I lib -w app.pl", "app"),
        ("php -S 127.0.0.1:8000 -t public router.php", "router"),
        ("php8.2 artisan serve", "artisan"),
        ("dotnet exec --depsfile x.json /app/Shop.Api.dll", "Shop.Api"),
        ("uwsgi --http :8000 --module shop.wsgi:application", "shop.wsgi"),
        ("uwsgi --wsgi-file=/srv/shop.py", "shop"),
    ] {
        assert_eq!(named(command).as_deref(), Some(expected), "{command}");
    }
}

#[test]
fn what_the_command_line_does_not_tell_is_unknown() {
    for command in [
        "python3",
        "python3 -",
        "python3 -c print(1) app.py",
        "python3 -m",
        "python3 -W",
        "node",
        "node -e code server.js",
        "node --test",
        "node -r",
        "deno repl",
        "java -version",
        "java @args Main",
        "java -jar",
        "ruby -e code",
        "perl -e code",
        "php -r code",
        "php -S 127.0.0.1:80",
        "dotnet run",
        "uwsgi --ini shop.ini",
        "php-fpm8.2 pool.php",
        "nginx -g daemon",
        "/usr/bin/pythonista app.py",
    ] {
        assert_eq!(named(command), None, "{command}");
    }
    assert_eq!(name("python3", &[]), None);
}

#[test]
fn servers_that_write_over_their_command_line_are_named_by_it() {
    let titled = |title: &str| name("python3.11", &[title]);
    assert_eq!(titled("gunicorn: master [shop.wsgi:application]").as_deref(), Some("shop.wsgi"));
    assert_eq!(titled("gunicorn: worker [app]").as_deref(), Some("app"));
    assert_eq!(
        name("ruby3.1", &["puma 6.4.2 (tcp://0.0.0.0:3000) [shop]"]).as_deref(),
        Some("shop")
    );
    assert_eq!(titled("bash [x]"), None);
}
