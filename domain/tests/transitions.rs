//! These tests check the transition table of orders.

use domain::Error;
use domain::orders::transitions::{TABLE, described, find, find_for};
use entity::orders::{PaymentMethod, Status};
use entity::users::Role;
use sea_orm::Iterable;

#[test]
fn the_apis_page_shows_the_table() {
    let page = include_str!("../../docs/api.md");
    let described = described();
    assert!(
        page.contains(&described),
        "docs/api.md lacks:\n\n{described}"
    );
}

#[test]
fn transitions_that_are_not_in_the_table_cannot_happen() {
    for of in PaymentMethod::iter() {
        for from in Status::iter() {
            for to in Status::iter() {
                let is_there = TABLE
                    .iter()
                    .filter(|one| (one.of, one.from, one.to) == (of, from, to))
                    .count();
                assert!(
                    is_there <= 1,
                    "{of:?} {from:?} {to:?} is there {is_there} times"
                );
                match find(of, from, to) {
                    Ok(found) => assert_eq!((found.from, found.to, is_there), (from, to, 1)),
                    Err(Error::InvalidTransition { from: f, to: t }) => {
                        assert_eq!((f, t, is_there), (from, to, 0));
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn every_order_ends_and_nothing_follows_the_end() {
    for of in PaymentMethod::iter() {
        let ways = |from: Status| {
            TABLE
                .iter()
                .filter(move |one| one.of == of && one.from == from)
        };
        for end in [Status::Fulfilled, Status::Cancelled] {
            assert_eq!(ways(end).count(), 0);
        }
        let (mut reached, mut next) = (vec![Status::Created], vec![Status::Created]);
        while let Some(status) = next.pop() {
            for one in ways(status)
                .filter(|one| !reached.contains(&one.to))
                .collect::<Vec<_>>()
            {
                reached.push(one.to);
                next.push(one.to);
            }
        }
        for end in [Status::Fulfilled, Status::Cancelled] {
            assert!(reached.contains(&end), "{of:?} never comes to {end:?}");
        }
        // Only an end has no further transition.
        for status in reached {
            let is_end = matches!(status, Status::Fulfilled | Status::Cancelled);
            assert_eq!(is_end, ways(status).count() == 0, "{of:?} {status:?}");
        }
    }
}

#[test]
fn money_is_given_back_by_admins_alone() {
    let paid = |role| find_for(role, PaymentMethod::Card, Status::Paid, Status::Cancelled);
    assert!(paid(Role::Admin).is_ok());
    for role in [Role::Staff, Role::Customer] {
        assert!(matches!(paid(role), Err(Error::Forbidden)));
    }
    for role in [Role::Admin, Role::Staff, Role::Customer] {
        let of = PaymentMethod::Card;
        assert!(find_for(role, of, Status::PaymentPending, Status::Cancelled).is_ok());
        let by_hand = find_for(role, of, Status::PaymentPending, Status::Paid);
        assert!(
            matches!(by_hand, Err(Error::Forbidden)),
            "{role:?} makes an order paid"
        );
    }
}
