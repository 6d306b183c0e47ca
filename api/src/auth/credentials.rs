//! Mail addresses and passwords that are acceptable: parsed once, trusted afterwards.

use secrecy::{ExposeSecret, SecretString};
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

use crate::http::problem::{ApiError, FieldError};

/// A mail address, folded to lower case and to one spelling of each character: one mailbox, one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

/// A password of acceptable length. Never printed.
#[derive(Debug, Clone)]
pub struct Password(SecretString);

const LONGEST_EMAIL: usize = 254;
/// Characters.
const SHORTEST_PASSWORD: usize = 8;
/// Characters; hashing reads every byte of it.
const LONGEST_PASSWORD: usize = 128;

impl Email {
    /// Accepts what can be an address; whether it exists, only a mail can tell.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        // An accent may come as part of its letter or after it, depending on the keyboard.
        let text: String = text.trim().to_lowercase().nfc().collect();
        let (local, domain) = text.rsplit_once('@')?;
        let plain = !text.chars().any(is_unseen);
        let whole = !local.is_empty() && !local.contains('@') && domain.len() >= 3 && domain.contains('.');
        let dots = !domain.starts_with('.') && !domain.ends_with('.') && !domain.contains("..");
        (plain && whole && dots && text.len() <= LONGEST_EMAIL).then_some(Self(text))
    }

    /// The folded address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Blanks, and what shows nothing or turns the text around: it would make one address look like another.
fn is_unseen(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c.general_category() == GeneralCategory::Format
}

impl Password {
    /// Accepts any characters; only the length matters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let length = text.chars().take(LONGEST_PASSWORD + 1).count();
        (SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&length).then(|| Self(text.into()))
    }

    /// The bytes to hash.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// Both, or every field that is wrong.
pub fn parse(email: &str, password: &str) -> Result<(Email, Password), ApiError> {
    match (Email::parse(email), Password::parse(password)) {
        (Some(email), Some(password)) => Ok((email, password)),
        (email, password) => {
            let wrong = |field: &'static str, message: &'static str| FieldError {
                field: field.into(),
                message: message.into(),
            };
            let mut errors = Vec::new();
            if email.is_none() {
                errors.push(wrong("email", "must be a mail address of at most 254 bytes"));
            }
            if password.is_none() {
                errors.push(wrong("password", "must have 8 to 128 characters"));
            }
            Err(ApiError::Invalid(errors))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_folded_and_trimmed() {
        assert_eq!(Email::parse("  Ann@Example.COM ").unwrap().as_str(), "ann@example.com");
        assert!(Email::parse("jörg@müller.de").is_some());
    }

    #[test]
    fn two_ways_to_write_a_character_are_one_address() {
        assert_eq!(Email::parse("JO\u{308}RG@b.de"), Email::parse("j\u{f6}rg@b.de"));
        assert_eq!(Email::parse("\u{212a}im@b.de"), Email::parse("kim@b.de"), "the sign for kelvin is a K");
        assert_ne!(Email::parse("jorg@b.de"), Email::parse("j\u{f6}rg@b.de"));
        // One of these letters folds to two.
        assert!(Email::parse(&format!("{}@b.de", "\u{130}".repeat(100))).is_none());
    }

    #[test]
    fn what_does_not_show_is_refused() {
        for unseen in ['\u{200b}', '\u{200d}', '\u{202e}', '\u{2066}', '\u{feff}', '\u{ad}', '\u{a0}', '\u{2028}', '\r']
        {
            assert!(Email::parse(&format!("an{unseen}n@b.de")).is_none(), "{unseen:?}");
        }
    }

    #[test]
    fn what_cannot_be_an_address_is_refused() {
        for bad in
            ["", "ann", "@b.de", "a@b", "a@.de", "a@b.", "a@b..de", "a b@c.de", "a@@b.de", "a\0@b.de", "a@b.d\u{7}e"]
        {
            assert!(Email::parse(bad).is_none(), "{bad:?}");
        }
        assert!(Email::parse(&format!("{}@b.de", "a".repeat(250))).is_none());
    }

    #[test]
    fn a_password_is_measured_in_characters() {
        assert!(Password::parse("1234567").is_none() && Password::parse("12345678").is_some());
        assert!(Password::parse(&"ü".repeat(128)).is_some() && Password::parse(&"ü".repeat(129)).is_none());
    }

    #[test]
    fn both_fields_are_named_when_both_are_wrong() {
        let Err(ApiError::Invalid(errors)) = parse("x", "y") else { panic!("accepted") };
        assert_eq!(errors.iter().map(|e| e.field.as_ref()).collect::<Vec<_>>(), ["email", "password"]);
    }
}
