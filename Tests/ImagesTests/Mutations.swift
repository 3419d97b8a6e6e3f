import LighterTesting

extension [UInt8] {
    /// A few random edits, most of them where archives say what they hold: in headers.
    func mutated(_ random: inout SeededGenerator) -> [UInt8] {
        var bytes = self
        for _ in 0..<Int.random(in: 1...4, using: &random) {
            let block = Int.random(in: 0..<(bytes.count / 512), using: &random) * 512
            let at = Swift.min(block + Int.random(in: 0..<512, using: &random), bytes.count - 1)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.removeSubrange(at..<Swift.min(at + 512, bytes.count))
            case 2: bytes.insert(contentsOf: bytes[block..<(block + 512)], at: at)
            // The checksum is mended, so that what was changed is believed.
            case 3:
                bytes[block + 124 + at % 12] = UInt8.random(in: 0...255, using: &random)
                bytes.mend(header: block)
            default:
                bytes[block + 156] = UInt8(ascii: "0") + UInt8.random(in: 0..<80, using: &random)
                bytes.mend(header: block)
            }
        }
        return bytes
    }

    /// Gives a header block the checksum that it should have.
    private mutating func mend(header block: Int) {
        replaceSubrange((block + 148)..<(block + 156), with: [UInt8](repeating: 0x20, count: 8))
        let sum = String(self[block..<(block + 512)].reduce(0) { $0 + Int($1) }, radix: 8)
        let text = String(repeating: "0", count: Swift.max(0, 6 - sum.utf8.count)) + sum
        replaceSubrange((block + 148)..<(block + 156), with: Array(text.utf8.suffix(6)) + [0, 0x20])
    }

    /// The bytes cut at random places.
    func cut(_ random: inout SeededGenerator) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = self[...]
        while !rest.isEmpty {
            let length = Int.random(in: 1...Swift.min(rest.count, 3000), using: &random)
            pieces.append(Array<UInt8>(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return pieces
    }
}
