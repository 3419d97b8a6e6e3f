internal import NIOCore

/// Ids of containers as an engine has them, and as the device's users know them: another one for what was started anew
/// elsewhere, since an engine draws its own.
///
/// Both are 64 hexadecimal digits, so that one can stand in the other's place anywhere without a length changing.
struct AliasTable: Sendable, Hashable {
    struct Pair: Sendable, Hashable {
        var engineID: String
        var shownID: String
    }

    private(set) var pairs: [Pair]

    /// - Parameter pairs: those whose ids are not of one length are none.
    init(_ pairs: [Pair]) { self.pairs = pairs.filter { $0.engineID.utf8.count == $0.shownID.utf8.count } }

    var isEmpty: Bool { pairs.isEmpty }

    enum Direction: Sendable {
        case toEngine, fromEngine
    }

    /// What replaces what in bytes of one direction.
    func replacements(_ direction: Direction) -> [(from: [UInt8], to: [UInt8])] {
        pairs.map {
            let (engine, shown) = (Array($0.engineID.utf8), Array($0.shownID.utf8))
            return direction == .toEngine ? (shown, engine) : (engine, shown)
        }
    }
}

/// Replaces ids in bytes that come in pieces.
struct AliasReplacer {
    var replacements: [(from: [UInt8], to: [UInt8])]
    /// The end of what came last, where an id may have begun.
    private var held: [UInt8] = []

    init(_ replacements: [(from: [UInt8], to: [UInt8])]) { self.replacements = replacements }

    /// The bytes that are certain now.
    mutating func pass(_ bytes: [UInt8]) -> [UInt8] {
        var all = held + bytes
        held = []
        for (from, to) in replacements {
            var start = 0
            while let found = Self.find(from, in: all, from: start) {
                all.replaceSubrange(found..<found + from.count, with: to)
                start = found + to.count
            }
        }
        let open = replacements.map { Self.begun($0.from, at: all) }.max() ?? 0
        if open > 0 {
            held = Array(all.suffix(open))
            all.removeLast(open)
        }
        return all
    }

    /// What was held back, at the end.
    mutating func finish() -> [UInt8] {
        defer { held = [] }
        return held
    }

    private static func find(_ pattern: [UInt8], in bytes: [UInt8], from start: Int) -> Int? {
        guard let first = pattern.first, bytes.count - start >= pattern.count else { return nil }
        return bytes.withUnsafeBufferPointer { bytes in
            pattern.withUnsafeBufferPointer { pattern in
                var index = start
                let last = bytes.count - pattern.count
                while index <= last {
                    if bytes[index] == first, bytes[index..<index + pattern.count].elementsEqual(pattern) {
                        return index
                    }
                    index += 1
                }
                return nil
            }
        }
    }

    /// How many of the last bytes are the beginning of the pattern.
    private static func begun(_ pattern: [UInt8], at bytes: [UInt8]) -> Int {
        for count in stride(from: min(pattern.count - 1, bytes.count), to: 0, by: -1)
        where bytes.suffix(count).elementsEqual(pattern.prefix(count)) {
            return count
        }
        return 0
    }
}
