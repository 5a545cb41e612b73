use serde_json::json;

use super::*;

fn interaction(standing: Standing, score: i64) -> LookedAt<'static> {
    LookedAt::Interaction(OfInteraction {
        score: Some(score),
        segment: "gold",
        account: Some("acme"),
        standing,
    })
}

fn under(policy: Policy) -> Choice {
    Choice { policy, ..Choice::default() }
}

/// Under every policy and for every role, parts that say the same are shown or not together, and what is not shown says why.
#[test]
fn no_part_says_what_another_hides() {
    let looks = [
        interaction(Standing::Open, -80),
        interaction(Standing::Closed, -80),
        interaction(Standing::Apart, 12),
        LookedAt::Customer(OfCustomer {
            average: Some(-60.5),
            segment: "",
            account: None,
            standing: Standing::Open,
        }),
        LookedAt::Text { score: Some(3) },
        LookedAt::Text { score: None },
        LookedAt::Group { level: Level::Team, customers: 4 },
        LookedAt::Group { level: Level::Tenant, customers: 5 },
    ];
    for policy in Policy::ALL {
        for role in Role::ALL {
            for look in &looks {
                let sight = see(&under(policy), &Viewer::of_role(*role), look);
                let told = format!("{} {} {look:?}: {sight:?}", policy.as_str(), role.as_str());
                assert_eq!((sight.score, sight.score), (sight.label, sight.evidence), "{told}");
                assert_eq!(sight.reason.is_none(), sight.is_open(), "{told}");
                let single = !matches!(look, LookedAt::Group { .. });
                let may = sees_single(&under(policy), &Viewer::of_role(*role));
                assert!(may || !(sight.is_open() && single), "{told}");
                assert!(!(sight.is_open() && single) || sight.shows_text(), "{told}");
            }
        }
    }
}

/// Who may see nothing single is whoever [`see`] shows nothing, whatever it is; whoever it may show something is no such.
#[test]
fn nothing_is_looked_through_where_nothing_can_be_seen() {
    let only = |role| {
        let threshold = json!({"roles": [role], "at_or_under": -50});
        Choice::from_json(&json!({"policy": "threshold_rules", "thresholds": [threshold]})).unwrap()
    };
    let (mut manager, agent) = (Viewer::of_role(Role::AccountManager), Viewer::of_role(Role::Agent));
    assert!(!sees_single(&under(Policy::SupervisorOverlay), &manager));
    manager.accounts.insert("acme".to_owned());
    for (choice, viewer, expected) in [
        (under(Policy::FullTransparency), &agent, true),
        (under(Policy::FullTransparency), &Viewer::default(), false),
        (under(Policy::SupervisorOverlay), &agent, false),
        (under(Policy::SupervisorOverlay), &manager, true),
        (under(Policy::SupervisorOverlay), &Viewer::of_role(Role::Reviewer), true),
        (under(Policy::PostConversation), &agent, true),
        (under(Policy::AggregateOnly), &Viewer::of_role(Role::Admin), false),
        (only("agent"), &agent, true),
        (only("supervisor"), &agent, false),
    ] {
        assert_eq!(sees_single(&choice, viewer), expected, "{choice:?} {viewer:?}");
        let sees = [Standing::Open, Standing::Closed, Standing::Apart]
            .map(|standing| see(&choice, viewer, &interaction(standing, -80)).is_open());
        assert_eq!(sees.contains(&true), expected, "{choice:?} {viewer:?}");
    }
}

#[test]
fn an_account_manager_sees_their_own_accounts_through_the_overlay() {
    let mut viewer = Viewer::of_role(Role::AccountManager);
    let look = interaction(Standing::Open, -80);
    assert_eq!(see(&under(Policy::SupervisorOverlay), &viewer, &look).reason, Some(Reason::OnlyLeads));
    viewer.accounts.insert("acme".to_owned());
    assert!(see(&under(Policy::SupervisorOverlay), &viewer, &look).is_open());
    assert!(!see(&under(Policy::AggregateOnly), &viewer, &look).is_open());
    viewer.role = Some(Role::Agent);
    assert!(
        !see(&under(Policy::SupervisorOverlay), &viewer, &look).is_open(),
        "an agent's accounts are no matter"
    );
}

#[test]
fn a_threshold_is_for_its_roles_and_segments_and_holds_at_the_bound() {
    let choice = Choice::from_json(&json!({"policy": "threshold_rules", "thresholds": [
        {"roles": ["supervisor"], "segments": ["gold"], "at_or_under": -50},
        {"roles": ["analyst"], "at_or_over": 80},
    ]}))
    .unwrap();
    let sees =
        |role, score| see(&choice, &Viewer::of_role(role), &interaction(Standing::Open, score)).is_open();
    assert_eq!([-51, -50, -49, 80].map(|score| sees(Role::Supervisor, score)), [true, true, false, false]);
    assert_eq!([-50, 79, 80].map(|score| sees(Role::Analyst, score)), [false, false, true]);
    assert!(!sees(Role::Admin, -100), "a rule that names roles is for no other");
    let other = LookedAt::Customer(OfCustomer {
        average: Some(-90.0),
        segment: "silver",
        account: None,
        standing: Standing::Open,
    });
    assert!(!see(&choice, &Viewer::of_role(Role::Supervisor), &other).is_open());
}

#[test]
fn whoever_does_not_see_each_score_sees_published_figures_of_large_groups() {
    let group = |customers| LookedAt::Group { level: Level::Queue, customers };
    for policy in Policy::ALL {
        for role in Role::ALL {
            let viewer = Viewer::of_role(*role);
            let each = [Standing::Open, Standing::Apart, Standing::Closed]
                .iter()
                .all(|standing| see(&under(policy), &viewer, &interaction(*standing, 0)).is_open());
            assert_eq!(figures(&under(policy), &viewer) == Figures::Live, each, "{policy:?} {role:?}");
            assert!(see(&under(policy), &viewer, &group(5)).is_open());
            assert_eq!(see(&under(policy), &viewer, &group(4)).is_open(), each);
        }
        assert_eq!(figures(&under(policy), &Viewer::default()), Figures::Published);
        assert_eq!(see(&under(policy), &Viewer::default(), &group(500)).reason, Some(Reason::NoRole));
    }
}

/// Written by hand: under which policies incidents are made, and beside whom an account manager has to hear of alerts for that.
#[test]
fn an_incident_is_made_where_somebody_is_told_of_it() {
    let alone = [Role::AccountManager];
    let led = [Role::AccountManager, Role::Agent, Role::Supervisor];
    let agents = [Role::Agent, Role::Analyst];
    for (policy, expected) in [
        (Policy::FullTransparency, [true, true, true, true]),
        (Policy::SupervisorOverlay, [true, false, true, true]),
        (Policy::PostConversation, [false; 4]),
        (Policy::AggregateOnly, [false; 4]),
        (Policy::ThresholdRules, [false; 4]),
    ] {
        let made = [&[][..], &alone, &led, &agents].map(|hearing| makes_incidents(&under(policy), hearing));
        assert_eq!(made, expected, "{policy:?}: nobody, account managers, with a lead, agents");
        for role in Role::ALL {
            let viewer = Viewer::of_role(*role);
            assert!(!sees_incidents(&under(policy), &viewer) || makes_incidents(&under(policy), &[*role]));
        }
    }
}

#[test]
fn a_key_sees_as_an_administrator_or_an_agent() {
    assert_eq!(Viewer::of_scopes(&[Scope::Read, Scope::Admin]).role, Some(Role::TenantAdmin));
    assert_eq!(Viewer::of_scopes(&[Scope::Ingest, Scope::Read]).role, Some(Role::Agent));
    assert_eq!(Viewer::of_scopes(&[Scope::Ingest]).role, None);
}

#[test]
fn choices_come_back_and_what_is_none_is_refused() {
    for choice in [Choice::default(), under(Policy::PostConversation)] {
        assert_eq!(Choice::from_json(&json!(choice)), Some(choice));
    }
    assert_eq!(Choice::from_json(&json!("aggregate_only")), Some(under(Policy::AggregateOnly)));
    for wrong in [
        json!("everybody"),
        json!(null),
        json!({}),
        json!({"policy": "aggregate_only", "min_group": 2}),
        json!({"policy": "aggregate_only", "min_group": 1001}),
        json!({"policy": "threshold_rules", "thresholds": []}),
        json!({"policy": "threshold_rules", "thresholds": [{}]}),
        json!({"policy": "threshold_rules", "thresholds": [{"at_or_under": 101}]}),
        json!({"policy": "threshold_rules", "thresholds": [{"at_or_under": 1, "roles": ["boss"]}]}),
        json!({"policy": "threshold_rules", "thresholds": [{"at_or_under": 1, "segments": [""]}]}),
        json!({"policy": "aggregate_only", "hide": true}),
    ] {
        assert_eq!(Choice::from_json(&wrong), None, "{wrong}");
    }
}
