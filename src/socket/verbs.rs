//! The verbs that several socket types have, stamped so that each has them as its own, and no type has one too many.

mod life;
mod many;
mod receiving;
mod sending;
mod subscriptions;

pub(crate) use life::{constructors, life_verbs, socket_verbs};
pub(crate) use many::{recv_many_verbs, send_many_verbs};
pub(crate) use receiving::{recv_from_verbs, recv_message_verbs, recv_step_verbs, recv_verbs};
pub(crate) use sending::{publish_verbs, send_to_verbs, send_verbs, verbs_of_send};
pub(crate) use subscriptions::{publisher_verbs, subscriber_verbs};
