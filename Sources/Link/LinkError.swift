/// Why a link, or a stream of it, could not be made or has ended.
package struct LinkError: Error, Sendable, CustomStringConvertible {
    /// What happened; compare errors by this.
    package enum Code: String, Sendable, Hashable {
        /// Nobody listens at the address.
        case refused
        /// The address cannot be reached at all.
        case unreachable
        /// The peer did not answer in time.
        case timedOut
        /// TLS failed for a reason that no other case names.
        case handshakeFailed
        /// A certificate is past its end, or not yet valid.
        case certificateExpired
        /// A certificate was issued by another fleet's authority.
        case unknownAuthority
        /// One end showed no certificate where one is required.
        case noCertificate
        /// What listens there does not speak `lighter/1`.
        case notALighterPeer
        /// The peer closed the link, or the network did.
        case peerWentAway
        /// The peer broke yamux's rules.
        case protocolViolation
        /// This end closed the link.
        case closed
        /// One end takes no more streams.
        case tooManyStreams
        /// A stream was reset by the peer, or by this end.
        case streamReset
        /// The peer sent more than this link may hold.
        case memoryExceeded
    }

    package var code: Code
    /// One sentence for a person: what happened and what helps.
    package var message: String
    package var cause: (any Error)?

    package init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    package var description: String {
        guard let cause else { return message }
        return "\(message) (\(cause))"
    }
}

extension LinkError {
    static let closedHere = LinkError(.closed, "this end closed the link")
    static let peerGone = LinkError(.peerWentAway, "the peer closed the link; it will be dialled again")
    static let resetByPeer = LinkError(.streamReset, "the peer reset the stream")
    static let resetHere = LinkError(.streamReset, "this end reset the stream")

    static func violation(_ what: String) -> LinkError {
        LinkError(.protocolViolation, "the peer broke the link's protocol: \(what); do both ends run the same version?")
    }
}
