import NIOCore

/// Tells of an HTTP/2 connection's bytes which are worth remembering: what is said of all files in every build, and no contents.
struct FrameRuns {
    /// Of a frame that may be remembered, in bytes.
    private static let limit = 1 << 10
    /// Of a frame with a message of gRPC, as far as it tells what packet of BuildKit's that is.
    private static let beginning = headLength + 7
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
        guard isPreface || bytes.readableBytes >= min(length, Self.beginning) else { return nil }
        hasBegun = true
        left = length
        if isPreface || !isLeisurely(bytes, length) { isUrgent = true }
        if isPreface { return true }
        guard length <= Self.limit + Self.headLength else { return false }
        let isData = bytes.getInteger(at: start + 3, as: UInt8.self) == 0 && length >= Self.beginning
        // A packet that asks for a file, or has a part of it.
        let packet = bytes.getInteger(at: start + Self.beginning - 2, as: UInt16.self)
        return !(isData && (packet == 0x0801 || packet == 0x0802))
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
