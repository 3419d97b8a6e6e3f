import NIOCore

/// Tells of an HTTP/2 connection's bytes which are worth remembering: what is said of all files in every build.
///
/// Memories lie on disks. So of messages only those are remembered that tell a file's name and attributes: no contents, and nothing
/// of what else a session carries, which are passwords, tokens and secrets.
struct FrameRuns {
    /// Of a frame that may be remembered, in bytes.
    private static let limit = 1 << 10
    private static let preface = 24
    /// Of the 64 KiB that a window has at first.
    private static let littleRoom: UInt32 = 8 << 10
    private static let headLength = 9

    /// Bytes before the next frame's head.
    private var left = 0
    private var isKept = true
    private var hasBegun = false
    /// Whether somebody may wait for what was said since this was set to false.
    var isUrgent = false
    /// The beginning of a frame, which is of no use to anybody alone.
    private var held = ByteBuffer()

    /// - Returns: the bytes in order, as far as it is known of what frame they are.
    mutating func split(_ bytes: ByteBuffer) -> [(bytes: ByteBuffer, isKept: Bool)] {
        held.writeImmutableBuffer(bytes)
        let all = held
        var rest = all
        held = ByteBuffer()
        var runs: [(bytes: ByteBuffer, isKept: Bool)] = []
        var start = rest.readerIndex
        func run(to end: Int) {
            if end > start, let run = all.getSlice(at: start, length: end - start) { runs.append((run, isKept)) }
            start = end
        }
        while rest.readableBytes > 0 {
            if left == 0 {
                guard let keeps = begin(rest) else { break }
                if keeps != isKept {
                    run(to: rest.readerIndex)
                    isKept = keeps
                }
            }
            let count = min(left, rest.readableBytes)
            rest.moveReaderIndex(forwardBy: count)
            left -= count
        }
        run(to: rest.readerIndex)
        held.writeImmutableBuffer(rest)
        return runs
    }

    /// - Returns: whether the frame that begins here is remembered; nil where too little of it has come.
    private mutating func begin(_ bytes: ByteBuffer) -> Bool? {
        let start = bytes.readerIndex
        guard let (upper, lower) = bytes.getMultipleIntegers(at: start, as: (UInt16, UInt8).self) else { return nil }
        // Who opens the connection says so first.
        let isPreface = !hasBegun && upper == 0x5052
        let length = isPreface ? Self.preface : Int(upper) << 8 + Int(lower) + Self.headLength
        let isShort = length <= Self.limit + Self.headLength
        guard bytes.readableBytes >= (isShort ? length : Self.headLength) else { return nil }
        hasBegun = true
        left = length
        if isPreface || !isLeisurely(bytes, length) { isUrgent = true }
        guard isShort, !isPreface, let frame = bytes.getSlice(at: start, length: length) else { return isPreface }
        let isData = frame.getInteger(at: frame.readerIndex + 3, as: UInt8.self) == 0
        return !isData || Self.tellsOfFiles(frame)
    }

    /// Whether all messages of a frame of data are packets of BuildKit's that say what a file is, or that there are no more.
    private static func tellsOfFiles(_ frame: ByteBuffer) -> Bool {
        var rest = frame
        let paddedFlag: UInt8 = 8
        guard frame.getInteger(at: frame.readerIndex + 4, as: UInt8.self).map({ $0 & paddedFlag == 0 }) == true else {
            return false
        }
        rest.moveReaderIndex(forwardBy: headLength)
        while rest.readableBytes > 0 {
            guard let (flags, length) = rest.readMultipleIntegers(as: (UInt8, UInt32).self), flags == 0,
                let packet = rest.readSlice(length: Int(length)), isStatus(packet) || packet == lastPacket
            else { return false }
        }
        return true
    }

    private static let lastPacket = ByteBuffer(bytes: [0x08, 0x03])

    /// Whether a packet has the description of a file, which begins with its path and mode, or the empty one that ends a list.
    private static func isStatus(_ packet: ByteBuffer) -> Bool {
        var packet = packet
        guard packet.readInteger(as: UInt8.self) == 0x12, let length = packet.readFieldLength(bytes: 2),
            length == packet.readableBytes
        else { return false }
        guard length > 0 else { return true }
        guard packet.readInteger(as: UInt8.self) == 0x0a, let path = packet.readFieldLength(bytes: 2), path > 0,
            packet.readSlice(length: path) != nil
        else { return false }
        return packet.readInteger(as: UInt8.self) == 0x10
    }

    /// Whether nobody waits for the frame: one that measures or confirms, or gives back little of a window.
    private func isLeisurely(_ bytes: ByteBuffer, _ length: Int) -> Bool {
        guard let (kind, flags) = bytes.getMultipleIntegers(at: bytes.readerIndex + 3, as: (UInt8, UInt8).self) else {
            return false
        }
        switch kind {
        case 4: return flags & 1 != 0
        case 6: return true
        case 8:
            let room = bytes.getInteger(at: bytes.readerIndex + Self.headLength, as: UInt32.self)
            return room.map { $0 < Self.littleRoom } ?? false
        default: return false
        }
    }
}

extension ByteBuffer {
    /// The length of a field in a message of protocol buffers.
    /// - Parameter limit: the most bytes that it may have itself.
    mutating func readFieldLength(bytes limit: Int) -> Int? {
        var length = 0
        for index in 0..<limit {
            guard let byte = readInteger(as: UInt8.self) else { return nil }
            length |= Int(byte & 0x7f) << (7 * index)
            if byte & 0x80 == 0 { return length }
        }
        return nil
    }
}
