//! Signing in.

use std::net::IpAddr;

use shared::{
    api::{request::SignIn, view::Me},
    ids::UserId,
    limits::Limit,
    text as letters,
};

use crate::{
    app::App,
    client_address::network,
    db::{self, users::User},
    error::ApiError,
    scope::Person,
    sign_in::{Guess, KnownBrowser, Lane, Refusal, Reservation},
};

fn me(user: &User) -> Me {
    Me {
        id: user.id,
        email: user.email.clone(),
        operator: user.operator,
    }
}

/// Who tries to sign in.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The client address.
    pub address: IpAddr,
    /// What the cookie of a known browser says, if there is one.
    pub browser: Option<String>,
}

/// Somebody who has signed in.
#[derive(Debug)]
pub struct SignedIn {
    /// Who.
    pub user: Me,
    /// The cookie of a known browser, for one that was not.
    pub browser: Option<String>,
}

/// Counts a stranger's guess. The first one of an address within an hour counts apart from all others and waits apart from them, so
/// that a flood keeps out nobody who comes from elsewhere.
fn count(
    app: &App,
    address: IpAddr,
    email: &str,
    now: jiff::Timestamp,
) -> Option<(Reservation<Guess>, Lane)> {
    let with = |guesses: Vec<Guess>| {
        let of_all = [Guess::Account(address, email.to_owned()), Guess::Address(address)];
        app.guesses
            .guess(of_all.into_iter().chain(guesses).collect(), now)
    };
    let first = with(vec![Guess::First(address), Guess::AllFirst]);
    let first = first.map(|counted| (counted, Lane::Newcomers));
    first.or_else(|| with(vec![Guess::Instance]).map(|counted| (counted, Lane::Strangers)))
}

/// The browser, and its user, when it is known for the account of this e-mail address. It waits for no turn: only what this server
/// has signed is looked up.
async fn known_user(
    app: &App,
    visitor: &Visitor,
    email: &str,
    now: jiff::Timestamp,
) -> Result<Option<(KnownBrowser, User)>, ApiError> {
    let claimed = visitor.browser.as_deref();
    let Some(browser) = claimed.and_then(|cookie| KnownBrowser::read(&app.bearers, cookie, now)) else {
        return Ok(None);
    };
    let user = db::users::find(&app.db.instance().await?, browser.user()).await?;
    Ok(user
        .filter(|user| user.email == email)
        .map(|user| (browser, user)))
}

/// Checks e-mail address and password.
///
/// # Errors
/// `WrongCredentials` for either, without saying which, and after the same work; `TooManyAttempts` when too many were wrong before;
/// `Busy` when too many passwords wait to be checked.
pub async fn sign_in(app: &App, request: SignIn, visitor: &Visitor) -> Result<SignedIn, ApiError> {
    let now = app.clock.now();
    let refused = |refusal, user: Option<&User>, error| {
        app.refusals.count(refusal, user.map(|user| user.id), now);
        error
    };
    let email = request.email.trim().to_lowercase();
    // No address is longer (RFC 5321, 4.5.3.1.3), and what is longer must not reach the budgets.
    // Hidden characters neither: nobody has them in an address, and the database takes no NUL.
    if email.len() > Limit::Email.max()
        || letters::hidden(&email).is_some()
        || request.password.len() > Limit::Password.max()
    {
        return Err(refused(Refusal::Wrong, None, ApiError::WrongCredentials));
    }
    let known = known_user(app, visitor, &email, now).await?;
    // Counted before the database is asked: what is over its budget costs nothing.
    let counted = match &known {
        Some((browser, _)) => app
            .guesses
            .guess(vec![Guess::Browser(*browser)], now)
            .map(|counted| (counted, Lane::Known)),
        None => count(app, network(visitor.address), &email, now),
    };
    let (counted, lane) =
        counted.ok_or_else(|| refused(Refusal::OverBudget, None, ApiError::TooManyAttempts))?;
    let is_known = known.is_some();
    let user = match known {
        Some((_, user)) => Some(user),
        None => {
            let _turn = app.db.turn().await;
            db::users::by_email(&app.db.instance().await?, &email).await?
        }
    };
    // An unknown address costs as much time as a wrong password: the answer's delay tells nothing.
    const NOBODY: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let stored = user
        .as_ref()
        .map_or_else(|| NOBODY.to_owned(), |user| user.password_hash.clone());
    let checked = app.passwords.matches(request.password, stored, lane);
    let matches = match checked.await {
        Ok(matches) => matches,
        Err(busy) => {
            // It was not looked at.
            counted.give_back();
            return Err(refused(Refusal::Busy, None, busy.into()));
        }
    };
    let Some(user) = user.as_ref().filter(|_| matches) else {
        return Err(refused(Refusal::Wrong, user.as_ref(), ApiError::WrongCredentials));
    };
    counted.give_back();
    let tx = app.db.instance().await?;
    let event = db::audit::Event {
        actor: &email,
        action: "session.start",
        subject: email.clone(),
        detail: serde_json::json!({ "known_browser": is_known }),
    };
    db::audit::add_instance(&tx, event, now).await?;
    tx.commit().await?;
    Ok(SignedIn {
        user: me(user),
        browser: (!is_known).then(|| KnownBrowser::new(&app.bearers, user.id, now).1),
    })
}

/// The user of a session.
///
/// # Errors
/// When the database does not answer.
pub async fn by_id(app: &App, id: UserId) -> Result<Option<Person>, ApiError> {
    let tx = app.db.instance().await?;
    let user = db::users::find(&tx, id).await?;
    Ok(user.map(|user| Person::of_session(me(&user))))
}
