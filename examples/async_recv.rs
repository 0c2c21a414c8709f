//! Receives in a future. No runtime is needed: any executor will do, even one of ten lines.

use peermq::{Context, Pull, Push};
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Wake, Waker};
use std::thread::{self, Thread};

fn main() -> Result<(), Box<dyn Error>> {
    let context = Context::new()?;
    let push = Push::new(&context);
    let pull = Pull::new(&context);
    pull.bind("inproc://numbers")?;
    push.connect("inproc://numbers")?;

    let sender = thread::spawn(move || (1..=10).try_for_each(|number: u32| push.send(number.to_string())));
    let sum = block_on(async {
        let mut sum = 0;
        for _ in 0..10 {
            let number: u32 = pull.recv_async().await?.to_str()?.parse()?;
            sum += number;
        }
        Ok::<u32, Box<dyn Error>>(sum)
    })?;
    sender.join().map_err(|_| "the sender panicked")??;
    println!("the sum is {sum}");
    Ok(())
}

/// Runs a future on this thread, which sleeps until it is woken.
fn block_on<F: Future>(future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
