/// How hard what travels is compressed: harder while it is the link that holds it up, as far as the processor keeps pace.
struct Effort: Sendable {
    enum Level: Sendable, Hashable {
        /// Clearly smaller, and keeps pace with most links.
        case quick
        /// A tenth smaller again, for four times the time.
        case thorough
    }

    /// Bytes between two decisions at first.
    private static let stretch = 1 << 20
    /// Small pieces in a row after which it is edits that travel, and no tree.
    private static let smallPieces = 16
    private static let smallSize = 16 << 10

    private(set) var level = Level.quick
    private var stretch = Self.stretch
    private var bytes = 0
    private var compressing = Duration.zero
    private var sending = Duration.zero
    private var small = 0

    /// Takes in what became of a piece.
    /// - Parameter size: in bytes, before it was compressed.
    mutating func note(_ size: Int, compressing: Duration, sending: Duration) {
        small = size < Self.smallSize ? small + 1 : 0
        bytes += size
        self.compressing += compressing
        self.sending += sending
        switch level {
        case .quick:
            guard bytes >= stretch else { return }
            if self.sending > self.compressing * 6 { level = .thorough }
        case .thorough:
            if small >= Self.smallPieces {
                // Its memory is worth more than what edits would save.
                level = .quick
            } else if bytes >= Self.stretch, self.compressing > self.sending {
                level = .quick
                // The processor has other things to do: it is not asked soon again.
                stretch *= 16
            }
            guard bytes >= Self.stretch || level == .quick else { return }
        }
        (bytes, self.compressing, self.sending) = (0, .zero, .zero)
    }
}
