import LighterTesting
import DockerAPI
import NIOCore

/// What became of bytes that were parsed as a request: its head, the body in both shapes, what was left over.
struct Outcome: Equatable {
    var target: String?
    var status: Int?
    var rawBody: [UInt8] = []
    var payload: [UInt8] = []
    var isComplete = false
    var rest: [UInt8] = []

    /// Feeds `pieces` one after the other to the parsers, as a connection would.
    init(_ pieces: [[UInt8]], decoding: Bool = true, limit: Int = 64 * 1024) {
        var buffer = ByteBuffer()
        var parser = HeadParser<RequestHead>(limit: limit)
        var reader: BodyReader?
        do throws(HTTPError) {
            for piece in pieces {
                buffer.writeBytes(piece)
                if reader == nil, let head = try parser.parse(&buffer) {
                    target = head.target
                    reader = BodyReader(head.framing, decoding: decoding)
                }
                while let part = try reader?.next(&buffer) {
                    rawBody += Array(part.raw.readableBytesView)
                    payload += Array(part.payload?.readableBytesView ?? ByteBuffer().readableBytesView)
                }
            }
            rest = Array(buffer.readableBytesView)
        } catch {
            status = error.status
            // How much had been passed on when the error was found depends on the cut, and nobody relies on it.
            rawBody = []
            payload = []
        }
        isComplete = reader?.isComplete ?? false
    }
}

extension [UInt8] {
    /// One to four random edits: a byte changed, removed, doubled, or a telling one put in.
    func mutated(_ random: inout SeededGenerator) -> [UInt8] {
        let telling: [UInt8] = [0, 9, 10, 13, 32, 37, 44, 58, 59, 34, 92, 123, 125, 91, 93, 48, 70, 127, 128, 255]
        var bytes = self
        for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
            let at = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<5, using: &random) {
            case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
            case 1: bytes.remove(at: at)
            case 2: bytes.insert(bytes[at], at: at)
            case 3: bytes.insert(telling.randomElement(using: &random) ?? 0, at: at)
            default: bytes[at] = telling.randomElement(using: &random) ?? 0
            }
        }
        return bytes
    }

    /// The bytes cut at random places.
    func cut(_ random: inout SeededGenerator) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var rest = self[...]
        while !rest.isEmpty {
            let length = Int.random(in: 1...Swift.max(1, Swift.min(rest.count, 40)), using: &random)
            pieces.append(Array<UInt8>(rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return pieces
    }
}
