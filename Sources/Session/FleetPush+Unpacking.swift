import Compression
package import Wire
import NIOCore

extension Lighter_V1_FleetPush {
    /// The most bytes that packed nodes may be: as many as one message may have.
    private static let limit = Framing.defaultLimit

    /// The push with its packed nodes among the others.
    /// - Throws: `SessionError.malformed` where they cannot be read.
    package func unpacked() throws(SessionError) -> Lighter_V1_FleetPush {
        guard !packed.isEmpty else { return self }
        var push = self
        push.packed.removeAll()
        do {
            try push.addNodes(of: try Self.unpack(ByteBuffer(bytes: packed)))
        } catch {
            throw SessionError(.malformed, "what the gateway says of the fleet cannot be unpacked", cause: error)
        }
        return push
    }

    private static func unpack(_ packed: ByteBuffer) throws -> [UInt8] {
        let zstd = try ZstdDecompressor()
        zstd.add(packed)
        var bytes: [UInt8] = []
        while let piece = try zstd.next() {
            bytes += piece.readableBytesView
            guard bytes.count <= limit else { throw WireError(.oversize, "unpacked nodes are over \(limit) bytes") }
        }
        guard zstd.isComplete else { throw WireError(.malformed, "packed nodes were cut short") }
        return bytes
    }
}
