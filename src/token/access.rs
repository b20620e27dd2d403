//! Bearer tokens for operators: JWTs that the service signs for itself.

use goodstanding_verify::b64;
use serde::{Deserialize, Serialize};

use crate::{
    app::App,
    code::{Code, Fault},
    keys::{SecretKey, jwt},
};

const TYP: &str = "access+jwt";

/// What a bearer token allows.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs epochs.
    Operator,
    /// Reads flags and exports.
    Analyst,
    /// Reads everything an audit needs.
    Auditor,
}

impl Role {
    /// The wire name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Analyst => "analyst",
            Self::Auditor => "auditor",
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    iat: u64,
    exp: u64,
    jti: String,
    roles: Vec<Role>,
}

/// A bearer token for `subject`, good for `life_s` seconds.
///
/// # Errors
/// When the operating system gives no randomness.
pub fn grant(app: &App, subject: &str, roles: &[Role], life_s: u64) -> Result<String, Fault> {
    sign(
        &app.keys.access,
        &app.issuer,
        app.clock.now_s(),
        subject,
        roles,
        life_s,
    )
}

/// A bearer token by the service's access key.
///
/// # Errors
/// When the operating system gives no randomness.
pub fn sign(
    key: &SecretKey,
    issuer: &str,
    now: u64,
    subject: &str,
    roles: &[Role],
    life_s: u64,
) -> Result<String, Fault> {
    let internal = |e: String| Fault::new(Code::Internal, e);
    let mut jti = [0; 16];
    getrandom::fill(&mut jti).map_err(|e| internal(e.to_string()))?;
    let claims = Claims {
        iss: issuer.to_owned(),
        aud: issuer.to_owned(),
        sub: subject.to_owned(),
        iat: now,
        exp: now + life_s,
        jti: b64::url_encode(jti),
        roles: roles.to_vec(),
    };
    key.sign_service(TYP, &claims)
        .map_err(|e| internal(e.to_string()))
}

/// Checks the `Authorization` header's value and that it has the role.
///
/// # Errors
/// `auth.missing`, `auth.invalid`, `auth.forbidden`.
pub fn require(app: &App, authorization: Option<&str>, role: Role) -> Result<(), Fault> {
    let bearer = authorization
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
        .ok_or_else(|| Fault::new(Code::AuthMissing, "this needs `Authorization: Bearer …`"))?;
    let public = app.keys.access.public();
    let claims: Claims = jwt::read_own(bearer, &public, TYP, &app.issuer, &app.issuer)
        .map_err(|_| Fault::new(Code::AuthInvalid, "the bearer token was not accepted"))?;
    if claims.exp <= app.clock.now_s() {
        return Err(Fault::new(
            Code::AuthInvalid,
            "the bearer token was not accepted",
        ));
    }
    if claims.roles.contains(&role) {
        Ok(())
    } else {
        Err(Fault::new(
            Code::AuthForbidden,
            format!("the role {} is needed", role.as_str()),
        ))
    }
}
