//! The rules by which secrets are found.

use super::mask::{Action, Key};
use super::names::Glob;
use crate::govern::pattern::Pattern;

macro_rules! built_in {
    ($($(#[doc = $help:literal])+ $rule:ident = $name:literal,)*) => {
        /// Secrets that are known without being told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum BuiltIn { $($(#[doc = $help])+ $rule,)* }

        impl BuiltIn {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$rule,)*];

            /// Its name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$rule => $name,)* }
            }
        }
    };
}

built_in! {
    /// Fields `authorization`, `proxy-authorization`; the schemes Bearer and Basic with credentials behind them.
    Authorization = "authorization",
    /// `cookie`, `set-cookie`.
    Cookie = "cookie",
    /// `api_key`, `x-api-key`, and names that end so.
    ApiKey = "api_key",
    /// `password`, `passwd`, `passphrase`, names that end so, and `pwd`.
    Password = "password",
    /// `secret`, `secret_key`, `client_secret`, and names that end so.
    Secret = "secret",
    /// `token`, and names that end so (`access_token`, `csrfToken`); `jwt`.
    Token = "token",
    /// `private_key`, and names that end so; blocks of PEM with a private key.
    PrivateKey = "private_key",
    /// `session`, `session_id`, and names that end so; `PHPSESSID`, `connect.sid`.
    Session = "session",
    /// `cvv`, `cvc`, `card_number`, and names that end so; numbers of payment cards, of which the last four digits stay.
    Card = "card",
    /// `ssn`.
    Ssn = "ssn",
    /// Parameters that sign URLs: `sig`, `signature`, `x-amz-signature`, `x-goog-signature`.
    Signature = "signature",
    /// JSON Web Tokens, by their shape.
    Jwt = "jwt",
    /// Identifiers of AWS access keys, by their shape (`AKIA…`).
    AwsKey = "aws_key",
    /// The password in a URL (`postgres://app:password@db`), or the token that stands for a user.
    UrlPassword = "url_password",
    /// Addresses of electronic mail; kept unless asked for.
    Email = "email",
}

impl BuiltIn {
    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|rule| rule.name() == name)
    }
}

/// What a rule looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// What is known already: the rule says what becomes of it.
    BuiltIn(BuiltIn),
    /// Values of fields with such names.
    Name(Glob),
    /// What matches, in any value. [`Action::Keep`] has no meaning here.
    Pattern(Pattern),
}

/// A rule that somebody wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// What it looks for.
    pub target: Target,
    /// What becomes of that.
    pub action: Action,
}

/// What is redacted, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What is known without being told is masked (but for addresses of mail).
    pub defaults: bool,
    /// In this order; before what is known, and the first that matches counts.
    pub rules: Vec<Rule>,
    /// For [`Action::Hash`].
    pub key: Option<Key>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { defaults: true, rules: Vec::new(), key: None }
    }
}

impl Settings {
    /// What becomes of what is known.
    pub(super) fn action(&self, known: BuiltIn) -> Action {
        let told = self.rules.iter().find(|it| it.target == Target::BuiltIn(known));
        match told {
            Some(rule) => rule.action,
            None if self.defaults && known != BuiltIn::Email => Action::Mask,
            None => Action::Keep,
        }
    }
}
