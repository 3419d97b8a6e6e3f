import Compression
import Fleet
import NIOCore
import Wire

/// Framed envelopes that are sent most, put together by hand: pushes from nodes that are encoded already, acknowledgements.
enum PushFrame {
    /// A node as an element of a push's `nodes`.
    static func encode(_ node: Node) -> [UInt8] {
        var bytes: [UInt8] = [3 << 3 | 2]
        do { try Framing.encode(Lighter_V1_NodeMessage(node), into: &bytes) } catch { return [] }
        return bytes
    }

    /// The framed envelope of a push.
    /// - Parameters:
    ///   - nodes: each as `encode` made it.
    ///   - packs: whether they are compressed.
    static func frame(revision: UInt64, full: Bool, more: Bool, nodes: [[UInt8]], packs: Bool = false) -> ByteBuffer {
        var head: [UInt8] = [1 << 3]
        append(revision, to: &head)
        if full { head += [2 << 3, 1] }
        if more { head += [5 << 3, 1] }
        guard packs, let packed = pack(nodes) else { return frame(head, nodes) }
        head.append(6 << 3 | 2)
        append(UInt64(packed.count), to: &head)
        return frame(head, [packed])
    }

    private static func frame(_ head: [UInt8], _ rest: [[UInt8]]) -> ByteBuffer {
        let size = rest.reduce(head.count) { $0 + $1.count }
        // The envelope's field 16, `fleet_push`.
        var prefix: [UInt8] = [0x82, 0x01]
        append(UInt64(size), to: &prefix)
        var length: [UInt8] = []
        append(UInt64(prefix.count + size), to: &length)
        var buffer = ByteBufferAllocator().buffer(capacity: length.count + prefix.count + size)
        buffer.writeBytes(length)
        buffer.writeBytes(prefix)
        buffer.writeBytes(head)
        for bytes in rest { buffer.writeBytes(bytes) }
        return buffer
    }

    /// A few nodes are not worth it.
    private static let leastToPack = 1 << 10

    /// Nil where it is of no use, or not possible: they go as they are then.
    private static func pack(_ nodes: [[UInt8]]) -> [UInt8]? {
        var whole = ByteBuffer()
        for node in nodes { whole.writeBytes(node) }
        guard whole.readableBytes >= leastToPack, let zstd = try? ZstdCompressor(),
            var packed = try? zstd.compress(whole),
            var rest = try? zstd.finish()
        else { return nil }
        packed.writeBuffer(&rest)
        return Array(packed.readableBytesView)
    }

    /// The framed envelope of a report's acknowledgement.
    static func append(acknowledgement report: UInt64, to buffer: inout ByteBuffer) {
        var body: [UInt8] = [1 << 3]
        append(report, to: &body)
        // A message leaves out what is zero.
        if report == 0 { body = [] }
        // The envelope's field 13, `report_ack`.
        buffer.writeBytes([UInt8(body.count + 2), 13 << 3 | 2, UInt8(body.count)])
        buffer.writeBytes(body)
    }

    private static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(truncatingIfNeeded: rest))
    }
}
