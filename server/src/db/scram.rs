//! What Postgres keeps of a role's password: a SCRAM-SHA-256 verifier (RFC 5803; RFC 5802, 3), computed here, so that the password
//! itself is in no statement and in no log of statements.

use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use data_encoding::BASE64;
use zeroize::Zeroizing;

/// As many as Postgres itself takes.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(4_096).unwrap();

/// The verifier of a password of ASCII letters and digits: nothing in it needs to be normalised (RFC 4013).
pub(super) fn verifier(password: &str, salt: [u8; 16]) -> String {
    let mut salted = Zeroizing::new([0; 32]);
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        ITERATIONS,
        &salt,
        password.as_bytes(),
        salted.as_mut_slice(),
    );
    let salted = hmac::Key::new(hmac::HMAC_SHA256, salted.as_slice());
    let client_key = hmac::sign(&salted, b"Client Key");
    let stored_key = digest::digest(&digest::SHA256, client_key.as_ref());
    let server_key = hmac::sign(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${ITERATIONS}:{}${}:{}",
        BASE64.encode(&salt),
        BASE64.encode(stored_key.as_ref()),
        BASE64.encode(server_key.as_ref())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, 3. Its exchange proves both keys.
    #[test]
    fn the_verifier_is_that_of_the_rfc() {
        let salt: [u8; 16] = BASE64
            .decode(b"W22ZaJ0SNY7soEsUEjb6gQ==")
            .unwrap()
            .try_into()
            .unwrap();
        let verifier = verifier("pencil", salt);
        let (head, keys) = verifier.rsplit_once('$').unwrap();
        assert_eq!(head, "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==");
        let (stored, server) = keys.split_once(':').unwrap();
        let message = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                       r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
                       c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let sign = |key: &[u8]| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
        let server = BASE64.decode(server.as_bytes()).unwrap();
        assert_eq!(
            BASE64.encode(sign(&server).as_ref()),
            "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
        );
        let stored = BASE64.decode(stored.as_bytes()).unwrap();
        let proof = BASE64
            .decode(b"dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
            .unwrap();
        let signature = sign(&stored);
        let client_key: Vec<u8> = proof.iter().zip(signature.as_ref()).map(|(a, b)| a ^ b).collect();
        assert_eq!(digest::digest(&digest::SHA256, &client_key).as_ref(), stored);
    }
}
