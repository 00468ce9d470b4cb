//! The cart: products and quantities in a cookie. It needs no login and survives a reload. It is never trusted: prices
//! and stock are read anew on every page.

use std::collections::BTreeSet;

use actix_web::HttpRequest;
use actix_web::cookie::Cookie;
use entity::{ProductId, Quantity};
use uuid::Uuid;

use crate::http::site::Site;

/// The most lines of a cart, so that the cookie has less than 2 KB.
pub(super) const MAX_LINES: usize = 40;

/// The products of a cart in the order in which they were added, each with its quantity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Cart {
    lines: Vec<(ProductId, Quantity)>,
}

impl Cart {
    /// The cart in the request's cookie. What cannot be read is left out.
    pub(super) fn of(req: &HttpRequest, site: &Site, slug: &str) -> Self {
        let cookie = req.cookie(&site.cart_cookie(slug));
        cookie.map_or_else(Self::default, |cookie| Self::read(cookie.value()))
    }

    fn read(text: &str) -> Self {
        let mut cart = Self::default();
        for line in text.split('.') {
            let Some((id, quantity)) = line.split_once('-') else {
                continue;
            };
            let id = Uuid::try_parse(id).ok().map(ProductId);
            let quantity = quantity.parse().ok();
            let quantity = quantity.and_then(|units| Quantity::new(units).ok());
            if let (Some(id), Some(quantity)) = (id, quantity) {
                cart.set(id, Some(quantity));
            }
        }
        cart
    }

    /// The lines of the cart.
    pub(super) fn lines(&self) -> &[(ProductId, Quantity)] {
        &self.lines
    }

    /// Adds units of a product. Returns false if the cart has no room, or the line would have too many units.
    pub(super) fn add(&mut self, id: ProductId, quantity: Quantity) -> bool {
        let there = self.lines.iter_mut().find(|(other, _)| *other == id);
        let units = there.as_ref().map_or(0, |(_, units)| units.get()) + quantity.get();
        match Quantity::new(units) {
            Ok(units) => self.set(id, Some(units)),
            Err(_too_many) => false,
        }
    }

    /// Sets the units of a product; `None` removes it. Returns false if the cart has no room.
    pub(super) fn set(&mut self, id: ProductId, quantity: Option<Quantity>) -> bool {
        let place = self.lines.iter().position(|(other, _)| *other == id);
        match (place, quantity) {
            (Some(place), None) => {
                self.lines.remove(place);
            }
            (Some(place), Some(quantity)) => self.lines[place].1 = quantity,
            (None, Some(quantity)) if self.lines.len() < MAX_LINES => {
                self.lines.push((id, quantity));
            }
            (None, Some(_)) => return false,
            (None, None) => {}
        }
        true
    }

    /// Removes what was bought.
    pub(super) fn without(mut self, bought: &BTreeSet<ProductId>) -> Self {
        self.lines.retain(|(id, _)| !bought.contains(id));
        self
    }

    /// The cookie that keeps the cart.
    pub(super) fn cookie(&self, site: &Site, slug: &str) -> Cookie<'static> {
        let name = site.cart_cookie(slug);
        match self.lines.is_empty() {
            true => site.removal(name),
            false => site.cookie(name, self.written()),
        }
    }

    fn written(&self) -> String {
        let lines = self.lines.iter();
        let lines = lines.map(|(id, quantity)| format!("{}-{}", id.0.simple(), quantity.get()));
        lines.collect::<Vec<_>>().join(".")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(count: i64) -> Quantity {
        Quantity::new(count).unwrap()
    }

    #[test]
    fn a_cart_survives_its_cookie() {
        let mut cart = Cart::default();
        for count in 1..=50 {
            assert_eq!(cart.add(ProductId::new(), units(count)), count <= 40);
        }
        assert_eq!(cart.lines().len(), MAX_LINES);
        assert!(cart.written().len() < 2000, "{}", cart.written().len());
        assert_eq!(Cart::read(&cart.written()), cart);
    }

    #[test]
    fn what_is_no_line_is_left_out() {
        let id = ProductId::new();
        let good = format!("{}-2", id.0.simple());
        for text in [
            good.clone(),
            format!(
                ".{good}.x-1.{}-0.{}--1.{}-99999999999999999999",
                id.0, id.0, id.0
            ),
            format!("{}-9.{good}", id.0),
        ] {
            assert_eq!(Cart::read(&text).lines(), [(id, units(2))], "{text}");
        }
        assert_eq!(Cart::read("<script>").lines(), []);
    }

    #[test]
    fn units_of_one_product_are_added_up() {
        let (mut cart, id) = (Cart::default(), ProductId::new());
        assert!(cart.add(id, units(2)) && cart.add(id, units(3)));
        assert_eq!(cart.lines(), [(id, units(5))]);
        assert!(cart.set(id, None));
        assert_eq!(cart.lines(), []);
    }
}
