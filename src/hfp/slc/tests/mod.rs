//! The hands-free unit against a simulated phone, and against lines that odd phones really send, in virtual time.

mod odd;
mod ordinary;
mod pair;
