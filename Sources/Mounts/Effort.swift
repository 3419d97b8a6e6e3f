/// How hard what travels is compressed: harder while it is the link that holds it up, as far as the processor keeps pace.
struct Effort: Sendable {
    enum Level: Sendable, Hashable {
        /// Takes little memory: edits travel.
        case edits
        /// With a longer memory of what has travelled, which costs hardly any time.
        case tree
        /// Smaller again, for three times the time.
        case thorough
    }

    /// Bytes between two decisions at first.
    private static let stretch = 512 << 10
    /// Small pieces in a row after which it is edits that travel, and no tree.
    private static let smallPieces = 16
    private static let smallSize = 16 << 10

    private(set) var level = Level.edits
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
        if small >= Self.smallPieces {
            // The memory is worth more than what edits would save.
            level = .edits
        } else if bytes >= (level == .tree ? stretch : Self.stretch) {
            switch level {
            case .edits: level = .tree
            case .tree where self.sending > self.compressing * 5: level = .thorough
            case .thorough where self.compressing > self.sending * 2:
                level = .tree
                // The processor has other things to do: it is not asked soon again.
                stretch *= 16
            case .tree, .thorough: break
            }
        } else {
            return
        }
        (bytes, self.compressing, self.sending) = (0, .zero, .zero)
    }
}
