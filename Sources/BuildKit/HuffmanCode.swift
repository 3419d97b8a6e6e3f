/// HPACK's code for texts (RFC 7541, appendix B).
///
/// It is canonical: codes grow with their length, then with their symbol; the lengths say everything.
struct HuffmanCode: Sendable {
    static let shared = HuffmanCode()

    /// Bits of each byte's code, and of the end's.
    private static let lengths: [UInt8] = [
        13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28,
        28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11,
        10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8,
        15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
        7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5,
        6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7,
        7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23,
        23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
        22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21,
        23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25,
        26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26,
        28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
        26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
    ]
    private static let end = 256

    private struct Node: Sendable {
        /// 0: nothing; above: another node; below: a symbol, less one, negated.
        var next: (Int16, Int16) = (0, 0)
    }

    private var nodes = [Node()]

    private init() {
        var code: UInt32 = 0
        var length: UInt8 = 0
        for symbol in Self.lengths.indices.sorted(by: { (Self.lengths[$0], $0) < (Self.lengths[$1], $1) }) {
            code <<= UInt32(Self.lengths[symbol] - length)
            length = Self.lengths[symbol]
            add(symbol, code, length)
            code += 1
        }
    }

    private mutating func add(_ symbol: Int, _ code: UInt32, _ length: UInt8) {
        var node = 0
        for shift in stride(from: Int(length) - 1, through: 0, by: -1) {
            let isOne = code >> UInt32(shift) & 1 == 1
            if shift == 0 {
                set(node, isOne, Int16(-symbol - 1))
            } else {
                if child(node, isOne) == 0 {
                    nodes.append(Node())
                    set(node, isOne, Int16(nodes.count - 1))
                }
                node = Int(child(node, isOne))
            }
        }
    }

    private func child(_ node: Int, _ isOne: Bool) -> Int16 { isOne ? nodes[node].next.1 : nodes[node].next.0 }

    private mutating func set(_ node: Int, _ isOne: Bool, _ value: Int16) {
        if isOne { nodes[node].next.1 = value } else { nodes[node].next.0 = value }
    }

    /// Nil for what is no text: the end's symbol, or a padding that is long or not the end's beginning.
    func decode(_ bytes: some Sequence<UInt8>) -> [UInt8]? {
        var text: [UInt8] = []
        var node = 0
        var depth = 0
        var onlyOnes = true
        for byte in bytes {
            for shift in stride(from: 7, through: 0, by: -1) {
                let isOne = byte >> UInt8(shift) & 1 == 1
                depth += 1
                onlyOnes = onlyOnes && isOne
                let next = Int(child(node, isOne))
                guard next < 0 else {
                    node = next
                    continue
                }
                let symbol = -next - 1
                guard symbol != Self.end else { return nil }
                text.append(UInt8(symbol))
                (node, depth, onlyOnes) = (0, 0, true)
            }
        }
        return depth < 8 && onlyOnes ? text : nil
    }
}
