//! People, their links and sessions, and keys that end.

use chrono::TimeDelta;
use undertone_core::Role;
use undertone_core::arrival::AgentDetails;
use undertone_store::audit;
use undertone_store::keys::NewKey;
use undertone_store::people::Person;
use undertone_store::second_factor::NewSession;
use undertone_store::users::{
    Attempt, Authority, Change, Filter, NewUser, Profile, Purpose, ROTATE_AFTER, SESSION_MAX, State,
};
use undertone_store::{Result, StoreError, Tenant};

use super::{Bench, act};

const OPERATOR: Authority<'static> = Authority::Operator;

fn new(email: &str, role: Role) -> NewUser<'_> {
    NewUser { email, name: None, role, teams: &[], agent: None }
}

/// Somebody of this role who has logged in.
async fn somebody(bench: &Bench, tenant: &Tenant, role: Role, email: &str) -> String {
    let id = bench.store.save_user(&act(tenant), email, role.as_str(), "hash").await.unwrap();
    bench.store.begin_session(&id, &format!("token of {email}"), "csrf").await.unwrap();
    id
}

async fn actions(bench: &Bench, tenant: &Tenant, subject: &str) -> Vec<String> {
    let filter = audit::Filter { subject: Some(subject), ..audit::Filter::default() };
    let mut entries = bench.store.audit(tenant.id, &filter, None, 100).await.unwrap();
    entries.reverse();
    entries.into_iter().map(|entry| entry.action).collect()
}

fn is_refused<T>(result: &Result<T>) -> bool {
    matches!(result, Err(StoreError::NotAllowed(_)))
}

fn conflicts<T>(result: &Result<T>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

fn is_invalid<T>(result: &Result<T>) -> bool {
    matches!(result, Err(StoreError::Invalid(_)))
}

pub async fn people_are_saved_with_a_password(bench: &Bench) {
    let (tenant, other) = (bench.tenant("users").await, bench.tenant("users2").await);
    let save = async |tenant: &Tenant, email: &str, hash: &str| {
        bench.store.save_user(&act(tenant), email, "tenant_admin", hash).await
    };
    let id = save(&tenant, "Ana@Example.com ", "hash").await.unwrap();
    assert_eq!(bench.store.user_by_email("ANA@example.com").await.unwrap().unwrap().id, id);
    assert!(conflicts(&save(&other, "ana@example.com", "x").await));
    for none in ["ana", "@", "a@", "@b", "a b@c", "a@b\u{7}"] {
        assert!(is_invalid(&save(&tenant, none, "x").await), "{none}");
    }
    assert_eq!(bench.store.users(tenant.id).await.unwrap().len(), 1);
    assert_eq!(bench.store.user(other.id, &id).await.unwrap(), None);
    bench.store.begin_session(&id, "old", "csrf").await.unwrap();
    save(&tenant, "ana@example.com", "new").await.unwrap();
    assert_eq!(
        bench.store.session("old").await.unwrap(),
        None,
        "another password ends what was opened before"
    );
}

pub async fn people_are_invited_once(bench: &Bench) {
    let (tenant, other) = (bench.tenant("invited").await, bench.tenant("invited2").await);
    let admin = somebody(bench, &tenant, Role::TenantAdmin, "boss@invited.example").await;
    let by = Authority::User(&admin);
    let agent =
        |name: &str| Person::Agent(AgentDetails { name: Some(name.to_owned()), ..AgentDetails::default() });
    bench.store.save_person(&act(&tenant), "north", &Person::Team(None)).await.unwrap();
    bench.store.save_person(&act(&other), "south", &Person::Team(None)).await.unwrap();
    bench.store.save_person(&act(&tenant), "agent-7", &agent("Bo")).await.unwrap();
    let teams = ["north".to_owned()];
    let bo = NewUser {
        name: Some(" Bo "),
        teams: &teams,
        agent: Some("agent-7"),
        ..new("Bo@invited.example", Role::Agent)
    };
    let invited = bench.store.invite_user(&act(&tenant), by, (&bo, "token-bo")).await.unwrap();
    let Profile { user, teams: in_teams, agent: is_agent, link } = &invited;
    assert_eq!((user.email.as_str(), user.name.as_deref()), ("bo@invited.example", Some("Bo")));
    assert_eq!((in_teams.as_slice(), is_agent.as_deref()), (&teams[..], Some("agent-7")));
    assert_eq!((user.state(), user.version, user.password_hash.as_deref()), (State::Invited, 1, None));
    let link = link.as_ref().unwrap();
    assert_eq!(
        (link.purpose, link.expires_at),
        (Purpose::Invitation, bench.store.now() + TimeDelta::days(7))
    );
    assert_eq!(bench.store.profile(other.id, &user.id).await.unwrap(), None);

    let again = bench.store.invite_user(&act(&tenant), by, (&bo, "token-2")).await;
    assert!(conflicts(&again));
    let elsewhere =
        bench.store.invite_user(&act(&other), OPERATOR, (&new("bo@invited.example", Role::Agent), "t")).await;
    assert!(conflicts(&elsewhere));
    let (foreign, missing) = (["south".to_owned()], ["west".to_owned()]);
    for teams in [&foreign, &missing] {
        let one = NewUser { teams, ..new("cy@invited.example", Role::Agent) };
        assert!(is_invalid(&bench.store.invite_user(&act(&tenant), by, (&one, "t3")).await), "{teams:?}");
    }
    let taken = NewUser { agent: Some("agent-7"), ..new("cy@invited.example", Role::Agent) };
    assert!(conflicts(&bench.store.invite_user(&act(&tenant), by, (&taken, "t4")).await));
    let nobody = NewUser { agent: Some("agent-8"), ..taken };
    assert!(is_invalid(&bench.store.invite_user(&act(&tenant), by, (&nobody, "t5")).await));
    assert_eq!(bench.store.user_by_email("cy@invited.example").await.unwrap(), None, "nothing is half done");
    assert_eq!(actions(bench, &tenant, &user.id).await, ["user_invited"]);
}

pub async fn nobody_appoints_above_themselves(bench: &Bench) {
    let (tenant, other) = (bench.tenant("appoint").await, bench.tenant("appoint2").await);
    let root = somebody(bench, &tenant, Role::Admin, "root@appoint.example").await;
    let admin = somebody(bench, &tenant, Role::TenantAdmin, "admin@appoint.example").await;
    let agent = somebody(bench, &tenant, Role::Agent, "agent@appoint.example").await;
    let stranger = somebody(bench, &other, Role::Admin, "root@appoint2.example").await;
    let at = act(&tenant);
    let change = async |by: &str, whom: &str, role: Role| {
        let change = Change { role: Some(role), ..Change::default() };
        bench.store.change_user(&at, Authority::User(by), (whom, None), &change).await
    };
    assert!(is_refused(&change(&admin, &agent, Role::Admin).await));
    assert!(is_refused(&change(&admin, &root, Role::Agent).await));
    assert!(is_refused(&change(&agent, &agent, Role::TenantAdmin).await), "no permission at all");
    assert!(is_refused(&change(&stranger, &agent, Role::Analyst).await), "an admin of another tenant");
    assert_eq!(change(&root, &stranger, Role::Agent).await.unwrap(), None, "somebody of another tenant");
    let invite = async |role: Role| {
        bench.store.invite_user(&at, Authority::User(&admin), (&new("new@appoint.example", role), "n")).await
    };
    assert!(is_refused(&invite(Role::Admin).await));
    for whom in [&root, &stranger] {
        let link = bench.store.issue_link(&at, Authority::User(&admin), (whom, "t")).await;
        assert!(
            is_refused(&link) || link.unwrap().is_none(),
            "a link to an admin's password is their account"
        );
        let ended = bench.store.end_sessions(&at, Authority::User(&admin), whom).await;
        assert!(is_refused(&ended) || ended.unwrap().is_none());
    }
    assert!(bench.store.session("token of root@appoint.example").await.unwrap().is_some());
    assert!(bench.store.session("token of root@appoint2.example").await.unwrap().is_some());
    let raised = change(&root, &agent, Role::Supervisor).await.unwrap().unwrap();
    assert_eq!((raised.user.role.as_str(), raised.user.version), ("supervisor", 2));
    // What one may do is read when it is done: a demoted administrator appoints nobody any more.
    change(&root, &admin, Role::Analyst).await.unwrap();
    assert!(is_refused(&change(&admin, &agent, Role::Agent).await));
}

pub async fn two_who_change_the_same_do_not_overwrite(bench: &Bench) {
    let tenant = bench.tenant("versions").await;
    somebody(bench, &tenant, Role::TenantAdmin, "a@versions.example").await;
    let id = somebody(bench, &tenant, Role::Agent, "b@versions.example").await;
    let at = act(&tenant);
    let as_role = async |role: Role| {
        let change = Change { role: Some(role), ..Change::default() };
        bench.store.change_user(&at, OPERATOR, (&id, Some(1)), &change).await
    };
    let (one, two) = futures::join!(as_role(Role::Reviewer), as_role(Role::Manager));
    assert_eq!((conflicts(&one), conflicts(&two)), (two.is_ok(), one.is_ok()), "{one:?} {two:?}");
    assert_eq!([&one, &two].iter().filter(|r| r.is_ok()).count(), 1, "{one:?} {two:?}");
    let same = Change { active: Some(true), ..Change::default() };
    let same = bench.store.change_user(&at, OPERATOR, (&id, Some(2)), &same).await.unwrap().unwrap();
    assert_eq!(same.user.version, 2, "nothing changed");
    assert_eq!(actions(bench, &tenant, &id).await, ["user_saved", "user_changed"]);
}

pub async fn somebody_is_left_who_can_undo_it(bench: &Bench) {
    let tenant = bench.tenant("last").await;
    let (a, b) = (
        somebody(bench, &tenant, Role::Admin, "a@last.example").await,
        somebody(bench, &tenant, Role::Admin, "b@last.example").await,
    );
    let at = act(&tenant);
    let off = Change { active: Some(false), ..Change::default() };
    let lower = Change { role: Some(Role::TenantAdmin), ..Change::default() };
    // Each removes the other at the same moment.
    let (one, two) = futures::join!(
        bench.store.change_user(&at, Authority::User(&a), (&b, None), &off),
        bench.store.change_user(&at, Authority::User(&b), (&a, None), &lower),
    );
    assert_eq!([&one, &two].iter().filter(|r| r.is_ok()).count(), 1, "{one:?} {two:?}");
    let left = if one.is_ok() { &a } else { &b };
    for change in [&off, &lower] {
        for by in [OPERATOR, Authority::User(left)] {
            assert!(conflicts(&bench.store.change_user(&at, by, (left, None), change).await));
        }
    }
    // Who was only invited can not undo anything yet.
    bench.store.invite_user(&at, OPERATOR, (&new("c@last.example", Role::Admin), "token-c")).await.unwrap();
    assert!(conflicts(&bench.store.change_user(&at, OPERATOR, (left, None), &off).await));
    bench.store.set_password_by_link("token-c", "hash", None).await.unwrap().unwrap();
    assert!(bench.store.change_user(&at, OPERATOR, (left, None), &off).await.unwrap().is_some());
}

pub async fn links_work_once(bench: &Bench) {
    let tenant = bench.tenant("links").await;
    let at = act(&tenant);
    let admin = somebody(bench, &tenant, Role::TenantAdmin, "a@links.example").await;
    let by = Authority::User(&admin);
    let bo = new("bo@links.example", Role::Agent);
    let id = bench.store.invite_user(&at, by, (&bo, "first")).await.unwrap().user.id;
    let second = bench.store.issue_link(&at, by, (&id, "second")).await.unwrap().unwrap();
    assert_eq!(second.link.unwrap().purpose, Purpose::Invitation);
    assert_eq!(bench.store.password_link("first").await.unwrap(), None, "a new link ends the one before");
    let (user, link) = bench.store.password_link("second").await.unwrap().unwrap();
    assert_eq!((user.id.as_str(), link.purpose), (id.as_str(), Purpose::Invitation));
    let (one, two) = futures::join!(
        bench.store.set_password_by_link("second", "hash-1", Some("192.0.2.1")),
        bench.store.set_password_by_link("second", "hash-2", None),
    );
    assert_eq!([one, two].into_iter().filter(|r| r.as_ref().unwrap().is_some()).count(), 1);
    assert_eq!(bench.store.password_link("second").await.unwrap(), None);

    bench.store.begin_session(&id, "before the reset", "csrf").await.unwrap();
    let reset = bench.store.issue_link(&at, by, (&id, "third")).await.unwrap().unwrap();
    assert_eq!((reset.link.unwrap().purpose, reset.user.state()), (Purpose::Reset, State::Active));
    assert!(
        bench.store.session("before the reset").await.unwrap().is_some(),
        "the password is not changed yet"
    );
    bench.store.set_password_by_link("third", "hash-3", None).await.unwrap().unwrap();
    assert_eq!(bench.store.session("before the reset").await.unwrap(), None);

    bench.store.issue_link(&at, by, (&id, "late")).await.unwrap();
    bench.advance(24 * 3600);
    assert_eq!(bench.store.password_link("late").await.unwrap(), None);
    assert_eq!(bench.store.set_password_by_link("late", "x", None).await.unwrap(), None);
    bench.store.issue_link(&at, by, (&id, "gone")).await.unwrap();
    let off = Change { active: Some(false), ..Change::default() };
    bench.store.change_user(&at, by, (&id, None), &off).await.unwrap();
    assert_eq!(bench.store.set_password_by_link("gone", "x", None).await.unwrap(), None);
    assert!(conflicts(&bench.store.issue_link(&at, by, (&id, "t")).await), "deactivated");
    assert_eq!(
        bench.store.user(tenant.id, &id).await.unwrap().unwrap().password_hash.as_deref(),
        Some("hash-3")
    );
}

pub async fn guessing_is_held_up_whether_there_is_an_account_or_not(bench: &Bench) {
    let tenant = bench.tenant("guessing").await;
    let known = "known@guessing.example";
    let id = bench.store.save_user(&act(&tenant), known, "agent", "hash").await.unwrap();
    for email in [known, "unknown@guessing.example"] {
        let attempt = async || bench.store.attempt_login(email).await.unwrap();
        for _ in 0..4 {
            assert_eq!(attempt().await, Attempt::Allowed);
        }
        for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
            let until = bench.store.now() + TimeDelta::minutes(wait);
            assert_eq!(attempt().await, Attempt::Last(until), "{email}");
            assert_eq!(attempt().await, Attempt::Locked(until), "{email}");
            bench.advance(wait * 60);
        }
        assert!(matches!(attempt().await, Attempt::Last(_)));
        assert!(matches!(
            bench.store.attempt_login(email.to_uppercase().as_str()).await.unwrap(),
            Attempt::Locked(_)
        ));
        bench.store.forgive_logins(email).await.unwrap();
        assert_eq!(attempt().await, Attempt::Allowed);
    }
    for _ in 0..5 {
        bench.store.attempt_login(known).await.unwrap();
    }
    bench.store.begin_session(&id, "in at last", "csrf").await.unwrap();
    assert_eq!(bench.store.attempt_login(known).await.unwrap(), Attempt::Allowed);
    let many: Vec<_> =
        futures::future::join_all((0..40).map(|_| bench.store.attempt_login("many@x.example"))).await;
    let refused = many.into_iter().filter(|a| matches!(a.as_ref().unwrap(), Attempt::Locked(_))).count();
    assert_eq!(refused, 35, "many at once are counted too");
}

pub async fn sessions_end_by_themselves_and_when_told(bench: &Bench) {
    let tenant = bench.tenant("sessions").await;
    let at = act(&tenant);
    let id = bench.store.save_user(&at, "ana@sessions.example", "supervisor", "hash").await.unwrap();
    let is_open = async |token: &str| bench.store.session(token).await.unwrap().is_some();
    bench.store.begin_session(&id, "token", "csrf").await.unwrap();
    let session = bench.store.session("token").await.unwrap().unwrap();
    assert_eq!((session.tenant_id, session.csrf_token.as_str()), (tenant.id.0, "csrf"));
    assert!(!is_open("nekot").await);
    bench.store.end_session("token", None).await.unwrap();
    assert!(!is_open("token").await);
    bench.store.begin_session(&id, "idle", "csrf").await.unwrap();
    bench.advance(13 * 3600);
    assert!(!is_open("idle").await);
    bench.store.begin_session(&id, "max", "csrf").await.unwrap();
    for _ in 0..(SESSION_MAX.num_hours() / 8) {
        assert!(is_open("max").await);
        bench.advance(8 * 3600);
    }
    assert!(!is_open("max").await);

    let user = bench.store.user(tenant.id, &id).await.unwrap().unwrap();
    assert!(bench.store.log_in(&user, NewSession::of("a", "csrf")).await.unwrap());
    assert!(bench.store.log_in(&user, NewSession::of("b", "csrf")).await.unwrap());
    assert_eq!(bench.store.sessions_of(&id).await.unwrap(), 2, "those that ended do not count");
    assert!(bench.store.change_password(&at, (&user, "hash-2"), ("c", "csrf")).await.unwrap());
    assert!(is_open("c").await && !is_open("a").await && !is_open("b").await);
    assert!(
        !bench.store.change_password(&at, (&user, "hash-3"), ("d", "csrf")).await.unwrap(),
        "the password is another"
    );
    assert!(
        !bench.store.log_in(&user, NewSession::of("e", "csrf")).await.unwrap(),
        "it was checked against the one before"
    );
    assert!(!is_open("d").await && !is_open("e").await);
    let ended = bench.store.end_sessions(&at, Authority::User(&id), &id).await.unwrap();
    assert_eq!((ended, is_open("c").await), (Some(1), false));
    assert_eq!(bench.store.end_sessions(&at, OPERATOR, "nobody").await.unwrap(), None);

    let user = bench.store.user(tenant.id, &id).await.unwrap().unwrap();
    bench.store.log_in(&user, NewSession::of("f", "csrf")).await.unwrap();
    let active = |active| Change { active: Some(active), ..Change::default() };
    bench.store.change_user(&at, OPERATOR, (&id, None), &active(false)).await.unwrap();
    assert!(!is_open("f").await);
    assert!(!bench.store.log_in(&user, NewSession::of("g", "csrf")).await.unwrap());
    bench.store.change_user(&at, OPERATOR, (&id, None), &active(true)).await.unwrap();
    assert!(!is_open("f").await && !is_open("g").await, "activating brings no session back");
    let told = actions(bench, &tenant, &id).await;
    let expected = [
        "user_saved",
        "logged_out",
        "password_changed",
        "logged_out_everywhere",
        "user_deactivated",
        "user_activated",
    ];
    assert_eq!(told, expected);
}

pub async fn tokens_are_replaced_and_an_old_one_ends_the_session(bench: &Bench) {
    let tenant = bench.tenant("rotation").await;
    let at = act(&tenant);
    let id = bench.store.save_user(&at, "ana@rotation.example", "agent", "hash").await.unwrap();
    let is_due = async |token: &str| bench.store.session(token).await.unwrap().map(|session| session.is_due);
    let rotate = async |old: &str, new: &str| bench.store.rotate_session(old, new).await.unwrap();
    bench.store.begin_session(&id, "one", "csrf").await.unwrap();
    assert_eq!(is_due("one").await, Some(false));
    assert!(!rotate("one", "early").await);
    bench.advance(ROTATE_AFTER.num_seconds());
    assert_eq!(is_due("one").await, Some(true));
    let (a, b) =
        futures::join!(bench.store.rotate_session("one", "two"), bench.store.rotate_session("one", "too"));
    let (a, b) = (a.unwrap(), b.unwrap());
    assert!(a != b, "of two requests at once, one brings the new token: {a} {b}");
    // The answer with it is lost: the browser goes on with the old one, and gets another.
    assert_eq!(is_due("one").await, Some(false));
    bench.advance(61);
    assert_eq!(is_due("one").await, Some(true));
    assert!(rotate("one", "three").await && !rotate("one", "four").await);
    assert_eq!((is_due("two").await, is_due("too").await), (None, None));
    // Seen, the new one leaves the old one a minute.
    assert_eq!(is_due("three").await, Some(false));
    bench.advance(59);
    assert_eq!((is_due("one").await, is_due("three").await), (Some(false), Some(false)));
    bench.advance(2);
    assert_eq!(is_due("three").await, Some(false));
    let stolen = bench.store.session_shown("one", Some("192.0.2.66")).await.unwrap();
    assert_eq!(stolen, None, "somebody else has the old one");
    assert_eq!(is_due("three").await, None, "and so the session ended");
    assert_eq!(actions(bench, &tenant, &id).await, ["user_saved", "session_ended"]);
    let filter = undertone_store::audit::Filter { action: Some("session_ended"), ..Default::default() };
    let ended = bench.store.audit(tenant.id, &filter, None, 10).await.unwrap();
    assert_eq!(ended[0].from.as_deref(), Some("192.0.2.66"), "from where the old token was shown");

    bench.store.begin_session(&id, "five", "csrf").await.unwrap();
    let change = Change { role: Some(Role::Reviewer), ..Change::default() };
    bench.store.change_user(&at, OPERATOR, (&id, None), &change).await.unwrap();
    let session = bench.store.session("five").await.unwrap().unwrap();
    assert_eq!((session.role.as_str(), session.is_due), ("reviewer", true), "another role, another token");
    assert!(rotate("five", "six").await);
    bench.store.end_session("five", None).await.unwrap();
    assert_eq!(is_due("six").await, None, "logging out with the token before ends the session too");
}

pub async fn people_are_listed_in_pages(bench: &Bench) {
    let (tenant, other) = (bench.tenant("listed").await, bench.tenant("listed2").await);
    bench.store.save_person(&act(&tenant), "north", &Person::Team(None)).await.unwrap();
    let teams = ["north".to_owned()];
    for n in 0..5 {
        let email = format!("{n}@listed.example");
        let role = if n % 2 == 0 { Role::Agent } else { Role::Analyst };
        let one = NewUser { teams: if n < 2 { &teams } else { &[] }, ..new(&email, role) };
        bench.store.invite_user(&act(&tenant), OPERATOR, (&one, &email)).await.unwrap();
    }
    bench.store.set_password_by_link("0@listed.example", "hash", None).await.unwrap();
    somebody(bench, &other, Role::Agent, "x@listed2.example").await;
    let list = async |filter: Filter<'_>| {
        let page = bench.store.profiles(tenant.id, &filter).await.unwrap();
        page.into_iter().map(|p| (p.user.email[..1].to_owned(), p.user.id)).collect::<Vec<_>>()
    };
    let names = |page: Vec<(String, String)>| page.into_iter().map(|(name, _)| name).collect::<String>();
    let first = list(Filter { limit: 3, ..Filter::default() }).await;
    let after = first[2].1.clone();
    assert_eq!(names(first), "012");
    assert_eq!(names(list(Filter { limit: 3, after: Some(&after), ..Filter::default() }).await), "34");
    let all = Filter { limit: 9, ..Filter::default() };
    assert_eq!(names(list(Filter { role: Some(Role::Analyst), ..all }).await), "13");
    assert_eq!(names(list(Filter { state: Some(State::Invited), ..all }).await), "1234");
    assert_eq!(names(list(Filter { state: Some(State::Active), ..all }).await), "0");
    assert_eq!(names(list(Filter { state: Some(State::Deactivated), ..all }).await), "");
    assert_eq!(names(list(Filter { team: Some("north"), state: Some(State::Invited), ..all }).await), "1");
    assert_eq!(names(list(Filter { team: Some("south"), ..all }).await), "");
}

pub async fn keys_end_when_they_should(bench: &Bench) {
    let tenant = bench.tenant("ending").await;
    let at = act(&tenant);
    let end = bench.store.now() + TimeDelta::hours(1);
    let new = NewKey { name: " crm ", scopes: &["read"], expires_at: Some(end) };
    let made = bench.store.make_key(&at, &new, "ut_ending").await.unwrap();
    assert_eq!((made.name.as_str(), made.expires_at), ("crm", Some(end)));
    for wrong in [
        NewKey { name: "  ", ..new },
        NewKey { scopes: &[], ..new },
        NewKey { expires_at: Some(bench.store.now()), ..new },
    ] {
        assert!(is_invalid(&bench.store.make_key(&at, &wrong, "ut_wrong").await), "{wrong:?}");
    }
    let later = bench.store.create_key(&at, "later", &["ingest"], "ut_later").await.unwrap();
    assert_eq!(bench.store.key("ut_ending").await.unwrap().unwrap().id, made.id);
    bench.advance(3600);
    assert_eq!(bench.store.key("ut_ending").await.unwrap(), None);
    let first = bench.store.keys_after(tenant.id, None, 1).await.unwrap();
    assert_eq!((first[0].id.as_str(), first[0].expires_at), (made.id.as_str(), Some(end)));
    assert!(first[0].last_used_at.is_some());
    let rest = bench.store.keys_after(tenant.id, Some(&made.id), 9).await.unwrap();
    assert_eq!(rest.iter().map(|key| key.id.as_str()).collect::<Vec<_>>(), [later.as_str()]);
}
