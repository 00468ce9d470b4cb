//! What a payment does to an order.
