//! What a broker owes its users, as data, against any URL.
