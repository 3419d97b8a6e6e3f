import FoundationEssentials

/// Sequence numbers that grow across restarts, at the price of one `fsync` per block of a million.
///
/// The file holds, in decimal, the first number that was never handed out. Where it is missing or corrupt, numbers start at
/// the microseconds since 1970: no node reports a million times a second, so that is above all that it ever used.
struct SequenceReservation {
    static let block: UInt64 = 1_000_000

    private let file: StateFile
    private var next: UInt64
    private var reservedTo: UInt64

    /// - Throws: `.invalid` when the state directory cannot be written.
    init(directory: String) throws(SessionError) {
        file = StateFile(directory: directory, name: "sequence")
        let clock = UInt64(max(0, Date().timeIntervalSince1970) * 1_000_000)
        let stored = Self.parse(file.read()) ?? clock
        // A number that is centuries ahead was not written by this type.
        next = stored > clock &+ (1 << 60) ? clock : stored
        reservedTo = next
        try reserve()
    }

    /// The next number. When the next block cannot be saved, counting goes on: a gap is made at the next start instead.
    mutating func take() -> UInt64 {
        if next >= reservedTo {
            do { try reserve() } catch { reservedTo = next + Self.block }
        }
        defer { next += 1 }
        return next
    }

    private mutating func reserve() throws(SessionError) {
        let end = next + Self.block
        try file.write("\(end)\n")
        reservedTo = end
    }

    /// A file that was cut short has no line's end.
    private static func parse(_ text: String?) -> UInt64? {
        guard let text, text.utf8.count > 1, text.hasSuffix("\n") else { return nil }
        return UInt64(text.dropLast())
    }
}
