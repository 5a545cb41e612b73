//! Keys that sign ID tokens, as RFC 7515 and RFC 7518 say.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use rsa::pkcs1v15::SigningKey;
use rsa::rand_core::OsRng;
use rsa::signature::{SignatureEncoding, Signer};
use rsa::traits::PublicKeyParts;
use rsa::{RsaPrivateKey, pkcs8::EncodePublicKey};
use serde_json::{Value, json};
use sha2::Sha256;

/// A key and its name.
pub struct Key {
    name: String,
    pair: Pair,
}

enum Pair {
    Rsa(Box<RsaPrivateKey>),
    Elliptic(Box<EcdsaKeyPair>),
}

impl Key {
    /// RSA with 2,048 bits: RS256.
    #[allow(clippy::expect_used, reason = "for tests")]
    pub fn rsa(name: &str) -> Self {
        let key = RsaPrivateKey::new(&mut OsRng, 2048).expect("this machine gives random numbers");
        Self { name: name.to_owned(), pair: Pair::Rsa(Box::new(key)) }
    }

    /// P-256: ES256.
    #[allow(clippy::expect_used, reason = "for tests")]
    pub fn elliptic(name: &str) -> Self {
        let random = SystemRandom::new();
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .expect("this machine gives random numbers");
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, made.as_ref(), &random)
            .expect("what was just made is a key");
        Self { name: name.to_owned(), pair: Pair::Elliptic(Box::new(key)) }
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Elliptic(_) => "ES256",
        }
    }

    /// Its public part as a JSON Web Key.
    pub fn published(&self) -> Value {
        let mut key = match &self.pair {
            Pair::Rsa(key) => json!({
                "kty": "RSA",
                "n": URL_SAFE_NO_PAD.encode(key.n().to_bytes_be()),
                "e": URL_SAFE_NO_PAD.encode(key.e().to_bytes_be()),
            }),
            Pair::Elliptic(key) => {
                // 4, x, y.
                let point = key.public_key().as_ref();
                json!({
                    "kty": "EC",
                    "crv": "P-256",
                    "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
                    "y": URL_SAFE_NO_PAD.encode(&point[33..65]),
                })
            }
        };
        key["kid"] = json!(self.name);
        key["use"] = json!("sig");
        key["alg"] = json!(self.algorithm());
        key
    }

    /// A token with these claims.
    #[allow(clippy::expect_used, reason = "for tests")]
    pub fn signed(&self, claims: &Value) -> String {
        let text = head(&json!({"alg": self.algorithm(), "kid": self.name, "typ": "JWT"}), claims);
        let signature = match &self.pair {
            Pair::Rsa(key) => SigningKey::<Sha256>::new(*key.clone()).sign(text.as_bytes()).to_vec(),
            Pair::Elliptic(key) => key
                .sign(&SystemRandom::new(), text.as_bytes())
                .expect("this machine gives random numbers")
                .as_ref()
                .to_vec(),
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// A token signed with HMAC, whose secret is what everybody can read: the public key.
    #[allow(clippy::expect_used, reason = "for tests")]
    pub fn signed_with_its_public_part(&self, claims: &Value) -> String {
        let secret = match &self.pair {
            Pair::Rsa(key) => key
                .to_public_key()
                .to_public_key_pem(rsa::pkcs8::LineEnding::LF)
                .expect("a key has a text")
                .into_bytes(),
            Pair::Elliptic(key) => key.public_key().as_ref().to_vec(),
        };
        let text = head(&json!({"alg": "HS256", "kid": self.name, "typ": "JWT"}), claims);
        let secret = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret);
        let signature = ring::hmac::sign(&secret, text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A token that says it needs no signature.
pub fn unsigned(claims: &Value) -> String {
    format!("{}.", head(&json!({"alg": "none", "typ": "JWT"}), claims))
}

fn head(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header.to_string()), URL_SAFE_NO_PAD.encode(claims.to_string()))
}
