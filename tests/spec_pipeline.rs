//! RFC 30: PUSH and PULL. Names with a number are tests of libzmq.

mod common;
#[path = "spec/rules.rs"]
mod rules;
#[path = "spec/types.rs"]
mod types;

use peermq::{Context, Pull, Push};
use rules::{receiver_rules, sender_rules};
use types::{assert_has_no, node, receives, sends};

node!(Push);
node!(Pull);
sends!(Push);
receives!(Pull);

sender_rules!(push, peermq::Push, peermq::Pull);
receiver_rules!(pull, peermq::Pull, peermq::Push);

/// RFC 30: PUSH "SHALL only send messages", PULL "SHALL only receive messages".
#[test]
fn push_only_sends_and_pull_only_receives() {
    let context = Context::new().unwrap();
    assert_has_no!(Push::new(&context), recv);
    assert_has_no!(Push::new(&context), try_recv);
    assert_has_no!(Pull::new(&context), send);
    assert_has_no!(Pull::new(&context), try_send);
}
