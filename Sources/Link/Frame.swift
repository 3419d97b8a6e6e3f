/// yamux's constants, as its specification numbers them.
enum Yamux {
    static let version: UInt8 = 0
    static let headerSize = 12
    static let initialWindow = 256 << 10
}

/// The kind of a frame, the second byte of its header.
enum FrameKind: UInt8, Sendable {
    case data = 0
    case windowUpdate = 1
    case ping = 2
    case goAway = 3
}

/// The flags of a frame; bits that the specification does not name are ignored, as the reference does.
struct FrameFlags: OptionSet, Sendable, Hashable {
    let rawValue: UInt16

    static let syn = FrameFlags(rawValue: 1)
    static let ack = FrameFlags(rawValue: 2)
    static let fin = FrameFlags(rawValue: 4)
    static let rst = FrameFlags(rawValue: 8)
}

/// Why a link ends, as go-away frames carry it. An unknown code from the wire is kept as it came.
struct GoAwayCode: RawRepresentable, Sendable, Hashable {
    let rawValue: UInt32

    static let normal = GoAwayCode(rawValue: 0)
    static let protocolError = GoAwayCode(rawValue: 1)
    static let internalError = GoAwayCode(rawValue: 2)
}

/// The 12 bytes before every payload: version, kind, flags (2), stream (4), length (4), in network order.
struct FrameHeader: Sendable, Hashable {
    var kind: FrameKind
    var flags: FrameFlags = []
    /// 0 is the session itself.
    var stream: UInt32 = 0
    /// Payload bytes (data), window bytes (window update), opaque value (ping) or code (go-away).
    var length: UInt32 = 0

    static func data(_ stream: UInt32, _ flags: FrameFlags = [], length: UInt32) -> FrameHeader {
        FrameHeader(kind: .data, flags: flags, stream: stream, length: length)
    }

    static func windowUpdate(_ stream: UInt32, _ flags: FrameFlags = [], delta: UInt32) -> FrameHeader {
        FrameHeader(kind: .windowUpdate, flags: flags, stream: stream, length: delta)
    }

    static func ping(_ value: UInt32, _ flags: FrameFlags) -> FrameHeader {
        FrameHeader(kind: .ping, flags: flags, length: value)
    }

    static func goAway(_ code: GoAwayCode) -> FrameHeader {
        FrameHeader(kind: .goAway, length: code.rawValue)
    }
}
