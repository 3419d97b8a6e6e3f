package import Fleet

/// How a link behaves; the defaults suit links between 50 us and 300 ms, from kilobits to 10 gigabits.
package struct LinkConfiguration: Sendable {
    /// The window each stream starts with; yamux fixes the least at 256 KiB, and less is read as that.
    package var initialWindow = ByteCount.kibibytes(256)
    /// The bound of a stream's window as it grows with the bandwidth-delay product.
    package var maximumWindow = ByteCount.mebibytes(16)
    /// What one link may hold of received bytes that its streams have not read yet. Half of it may go to grown
    /// windows; beyond all of it the stream that holds most is reset.
    package var memoryBound = ByteCount.mebibytes(128)
    /// Open streams of a link, both ends' together. More are refused, with a reset.
    package var maximumStreams = 4096
    /// Streams that the peer opened and this end has not accepted yet; more are refused, with a reset.
    package var acceptBacklog = 256
    /// The time between pings of a quiet link that has streams.
    package var keepAlive = Duration.seconds(5)
    /// The same without streams, by who dialled; the other end waits for twice as long. Whoever opens a stream asks at once whether
    /// the peer is there still. Less than the four minutes for which the strictest translators of addresses remember a connection.
    /// On a connection of its own the kernel asks instead: its question and the answer are less than half of the bytes of a ping's.
    package var idleKeepAlive = Duration.seconds(230)
    /// The time between pings that only measure the round trip, of a link that hears of its peer anyway.
    package var measuring = Duration.seconds(15)
    /// Silence after a ping that ends the link.
    package var keepAliveTimeout = Duration.seconds(8)
    /// How long a stream that was closed whole may take for its last bytes without any progress.
    package var drainTimeout = Duration.seconds(30)
    /// How long the peer may keep its half of a stream that was closed whole, before it is reset.
    package var lingerTimeout = Duration.seconds(5)
    /// A turn of one stream while others wait. A stream alone takes four times as much.
    package var slice = ByteCount.kibibytes(16)
    /// Payloads up to this size are copied together, so that many share one TLS record.
    package var coalescing = ByteCount.kibibytes(8)
    /// Handed to the connection beneath before it is flushed and asked again whether it takes more.
    package var burst = ByteCount.kibibytes(256)
    /// The time a peer has for the whole TLS handshake.
    package var handshakeTimeout = Duration.seconds(10)
    /// Connections of a listener that may be shaking hands at once; more wait at the door, or are closed there.
    package var handshakes = 256
    /// Connections that may wait for that, for no longer than half of the time that a handshake may take.
    package var waiting = 0

    package init() {}
}
