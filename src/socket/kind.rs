//! Types that do the same with messages: a pattern that several of them share is told which it is for.

use crate::socket_type::SocketType;

/// One of the types that share a pattern.
pub(crate) trait Kind: Send + 'static {
    const TYPE: SocketType;
    /// Its messages have one frame: what has several is refused on the way out, and dropped as `Malformed` on the way in.
    const ONE_FRAME: bool;
}

macro_rules! kinds {
    ($($Kind:ident $Type:ident $one_frame:literal;)*) => {$(
        pub(crate) struct $Kind;

        impl Kind for $Kind {
            const TYPE: SocketType = SocketType::$Type;
            const ONE_FRAME: bool = $one_frame;
        }
    )*};
}

kinds! {
    PushKind Push false;
    ScatterKind Scatter true;
    PullKind Pull false;
    GatherKind Gather true;
    PairKind Pair false;
    ChannelKind Channel true;
    DealerKind Dealer false;
    ClientKind Client true;
}
