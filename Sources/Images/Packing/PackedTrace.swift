internal import Compression
package import NIOCore

#if canImport(FoundationEssentials)
    internal import FoundationEssentials
#else
    internal import Foundation
#endif

/// The lines by which an engine tells of a build, compressed, and what BuildKit says in them without the text that is made of it.
///
/// What the one before it said of its steps is zstd's prefix, where both ends remember that; what those printed is not remembered, as
/// memories lie on disks. A zstd stream of records: a byte that tells what one is, its length in four, big endian, and its bytes.
package enum PackedTrace {
    /// By which who builds asks for it.
    package static let name = "trace"
    /// The answer that says so, with what is remembered.
    package static let known = "trace known"
    /// Of what is remembered, in bytes.
    fileprivate static let memoryLimit = 256 << 10

    /// What asks for it.
    package static func offer(_ memory: ByteBuffer?) -> String {
        memory.map { "\(name) \(ContextFrame.digest(of: $0))" } ?? name
    }

    /// Whether it is asked for, and the name of what is remembered.
    package static func read(_ offer: String?) -> (isWanted: Bool, memory: LayerDigest?) {
        let words = offer?.split(separator: " ") ?? []
        return (words.first.map { $0 == name } ?? false, words.dropFirst().first.flatMap { LayerDigest(String($0)) })
    }

    fileprivate static let text: UInt8 = 0
    fileprivate static let status: UInt8 = 1
    /// The most bytes of a record.
    fileprivate static let limit = 4 << 20
    fileprivate static let opening = #"{"id":"moby.buildkit.trace","aux":""#
    fileprivate static let closing = "\"}\r\n"
}

/// Packs such lines.
package final class TracePacker {
    private let zstd: ZstdCompressor
    private var records = ByteBuffer()
    /// What was remembered, which is bounded.
    package private(set) var kept = ByteBuffer()
    /// Whether it began with what was remembered before.
    package let isKnown: Bool
    /// Whether what was added shall not wait: a line that tells more than how the build goes on, or very many.
    package private(set) var isUrgent = false

    package init(memory: ByteBuffer? = nil) throws(ImageError) {
        isKnown = memory != nil
        do throws(CompressionError) {
            zstd = try ZstdCompressor(level: 3, windowLog: 19, prefix: memory.map { ZstdPrefix($0) })
        } catch {
            throw ImageError(error)
        }
    }

    /// Whether anything was added that has not been given out.
    package var isEmpty: Bool { records.readableBytes == 0 }

    /// - Parameter lines: whole ones, each with its end.
    package func add(_ lines: ByteBuffer) {
        var lines = lines
        while lines.readableBytes > 0 {
            let end = lines.readableBytesView.firstIndex(of: UInt8(ascii: "\n")) ?? lines.writerIndex - 1
            guard var line = lines.readSlice(length: end + 1 - lines.readerIndex) else { break }
            if line.readableBytesView.last != UInt8(ascii: "\n") { line.writeString("\n") }
            let status = Self.status(of: line).map { ByteBuffer(bytes: $0) }
            let record = PackedTrace.record(status == nil ? PackedTrace.text : PackedTrace.status, status ?? line)
            if let status, PackedTrace.isRemembered(status) { kept.remember(record, upTo: PackedTrace.memoryLimit) }
            records.writeImmutableBuffer(record)
            if status == nil { isUrgent = true }
        }
        if records.readableBytes >= PackingPace.patience { isUrgent = true }
    }

    /// All that was added, so that the other end can read it.
    package func flush() throws(ImageError) -> ByteBuffer {
        isUrgent = false
        guard !isEmpty else { return ByteBuffer() }
        defer { records = ByteBuffer() }
        do throws(CompressionError) { return try zstd.flush(records) } catch { throw ImageError(error) }
    }

    /// Nil for a line that would not be made again of what is in it.
    private static func status(of line: ByteBuffer) -> Data? {
        let (opening, closing) = (PackedTrace.opening.utf8.count, PackedTrace.closing.utf8.count)
        let view = line.readableBytesView
        guard view.count > opening + closing, view.starts(with: PackedTrace.opening.utf8),
            view.suffix(closing).elementsEqual(PackedTrace.closing.utf8),
            let status = Data(base64Encoded: Data(view.dropFirst(opening).dropLast(closing)))
        else { return nil }
        return PackedTrace.line(ByteBuffer(bytes: status)) == line ? status : nil
    }
}

extension PackedTrace {
    fileprivate static func record(_ kind: UInt8, _ bytes: ByteBuffer) -> ByteBuffer {
        var record = ByteBuffer()
        record.writeMultipleIntegers(kind, UInt32(bytes.readableBytes))
        record.writeImmutableBuffer(bytes)
        return record
    }

    /// Whether a message says what steps there are and how they go on, and nothing of what they print.
    fileprivate static func isRemembered(_ status: ByteBuffer) -> Bool {
        var rest = status
        while rest.readableBytes > 0 {
            // Fields of steps and of what is under way in them; logs are 3, warnings 4.
            guard let field = rest.readInteger(as: UInt8.self), field == 0x0a || field == 0x12,
                let length = rest.readFieldLength(bytes: 4), rest.readSlice(length: length) != nil
            else { return false }
        }
        return true
    }

    fileprivate static func line(_ status: ByteBuffer) -> ByteBuffer {
        ByteBuffer(string: opening + Data(status.readableBytesView).base64EncodedString() + closing)
    }
}

/// Makes the lines again, of a stream that may be hostile: in bounded memory.
package final class TraceUnpacker {
    private let zstd: ZstdDecompressor
    private var records = ByteBuffer()
    /// What was remembered, which is bounded.
    package private(set) var kept = ByteBuffer()

    package init(memory: ByteBuffer? = nil) throws(ImageError) {
        do throws(CompressionError) { zstd = try ZstdDecompressor(prefix: memory.map { ZstdPrefix($0) }) } catch {
            throw ImageError(error)
        }
    }

    package func add(_ bytes: ByteBuffer) { zstd.add(bytes) }

    /// The next line; nil when more has to come.
    package func next() throws(ImageError) -> ByteBuffer? {
        while true {
            if let line = try line() { return line }
            let more: ByteBuffer?
            do throws(CompressionError) { more = try zstd.next() } catch { throw ImageError(error) }
            guard let more else { return nil }
            records.discardReadBytes()
            records.writeImmutableBuffer(more)
        }
    }

    private func line() throws(ImageError) -> ByteBuffer? {
        guard
            let (kind, length) = records.getMultipleIntegers(at: records.readerIndex, as: (UInt8, UInt32).self)
        else { return nil }
        let damage = ImageError(.malformedCompression, "what is told of a build is damaged")
        guard kind <= PackedTrace.status, (1...PackedTrace.limit).contains(Int(length)) else { throw damage }
        guard records.readableBytes >= 5 + Int(length) else { return nil }
        records.moveReaderIndex(forwardBy: 5)
        guard let bytes = records.readSlice(length: Int(length)) else { return nil }
        guard kind == PackedTrace.status else {
            // Whole lines, so that nobody has to look for their ends again and again.
            guard bytes.readableBytesView.last == UInt8(ascii: "\n") else { throw damage }
            return bytes
        }
        if PackedTrace.isRemembered(bytes) {
            kept.remember(PackedTrace.record(kind, bytes), upTo: PackedTrace.memoryLimit)
        }
        return PackedTrace.line(bytes)
    }
}
