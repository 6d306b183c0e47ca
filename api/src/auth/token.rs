//! Access tokens: JWT, HS256 and nothing else.
//!
//! Expiry, issuer and audience are always checked, and must be there.

use std::{fmt, time::Duration};

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{http::problem::ApiError, settings::AuthSettings};

/// Makes and checks access tokens.
#[derive(Clone)]
pub struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    issuer: String,
    audience: String,
    ttl: Duration,
}

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    sub: Uuid,
    iss: String,
    aud: String,
    iat: u64,
    exp: u64,
}

/// Seconds by which the clocks of two replicas may differ.
const LEEWAY: u64 = 5;

impl AccessTokens {
    /// Keys and rules from the settings.
    #[must_use]
    pub fn new(settings: &AuthSettings) -> Self {
        let secret = settings.jwt_secret.expose_secret().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&settings.issuer]);
        validation.set_audience(&[&settings.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            issuer: settings.issuer.clone(),
            audience: settings.audience.clone(),
            ttl: settings.access_ttl,
        }
    }

    /// Seconds a new token is good for.
    #[must_use]
    pub fn ttl_seconds(&self) -> u64 {
        self.ttl.as_secs()
    }

    /// A new token for a user.
    pub fn issue(&self, user: Uuid) -> Result<String, ApiError> {
        let iat = jsonwebtoken::get_current_timestamp();
        let claims = Claims {
            sub: user,
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            iat,
            exp: iat + self.ttl_seconds(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding).map_err(ApiError::internal)
    }

    /// The user a token was issued for; `None` for a token that is not good, for whatever reason.
    #[must_use]
    pub fn user(&self, token: &str) -> Option<Uuid> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?;
        Some(data.claims.sub)
    }
}

impl fmt::Debug for AccessTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn tokens(secret: &str) -> AccessTokens {
        AccessTokens::new(&AuthSettings {
            jwt_secret: secret.into(),
            issuer: "i".into(),
            audience: "a".into(),
            access_ttl: Duration::from_secs(60),
            refresh_ttl: Duration::from_secs(60),
            login_attempts: 10,
            login_window: Duration::from_secs(60),
            hash_concurrency: 1,
            hash_wait: Duration::from_secs(1),
        })
    }

    fn signed(algorithm: Algorithm, claims: &Value) -> String {
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
    }

    fn claims() -> Value {
        let now = jsonwebtoken::get_current_timestamp();
        json!({"sub": Uuid::nil(), "iss": "i", "aud": "a", "iat": now, "exp": now + 60})
    }

    #[test]
    fn a_token_names_its_user() {
        let user = Uuid::now_v7();
        let token = tokens(SECRET).issue(user).unwrap();
        assert_eq!(tokens(SECRET).user(&token), Some(user));
        assert_eq!(tokens(SECRET).user(&signed(Algorithm::HS256, &claims())), Some(Uuid::nil()));
    }

    #[test]
    fn another_key_is_refused() {
        let token = tokens("ffffffffffffffffffffffffffffffff").issue(Uuid::nil()).unwrap();
        assert_eq!(tokens(SECRET).user(&token), None);
    }

    #[test]
    fn another_algorithm_is_refused_even_with_our_key() {
        assert_eq!(tokens(SECRET).user(&signed(Algorithm::HS512, &claims())), None);
        // {"alg":"none","typ":"JWT"} and an empty signature.
        let body = signed(Algorithm::HS256, &claims());
        let body = body.split('.').nth(1).unwrap();
        assert_eq!(tokens(SECRET).user(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}.")), None);
    }

    #[test]
    fn expiry_issuer_and_audience_are_checked_and_must_be_there() {
        for (claim, wrong) in [("exp", json!(1_000)), ("iss", json!("other")), ("aud", json!("other"))] {
            let mut bad = claims();
            bad[claim] = wrong;
            assert_eq!(tokens(SECRET).user(&signed(Algorithm::HS256, &bad)), None, "wrong {claim}");
            let mut bad = claims();
            bad.as_object_mut().unwrap().remove(claim);
            assert_eq!(tokens(SECRET).user(&signed(Algorithm::HS256, &bad)), None, "no {claim}");
        }
    }
}
