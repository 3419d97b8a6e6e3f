import NIOCore
import NIOPosix
import NIOSSL
import Trust

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension LinkHandshake {
    /// Any failure of a connection as a `LinkError`; certificates are judged by room Trust.
    static func explain(_ error: any Error, handler: NIOSSLHandler? = nil) -> LinkError {
        switch error {
        case let error as LinkError: return error
        case is NIOConnectionError, is ChannelError, is IOError: return explainConnection(error)
        default: break
        }
        let trust = LinkTLS.explain(error, handler: handler, now: Date().timeIntervalSince1970)
        let text = String(describing: error)
        let foreign = ["WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNSUPPORTED_PROTOCOL", "NO_APPLICATION_PROTOCOL"]
        if foreign.contains(where: text.contains) { return LinkError(.notALighterPeer, trust.message, cause: error) }
        return LinkError(code(of: trust), trust.message, cause: trust.cause ?? error)
    }

    private static func code(of error: TrustError) -> LinkError.Code {
        switch error.code {
        case .expired, .notYetValid: .certificateExpired
        case .unknownAuthority, .tokenAuthorityMismatch: .unknownAuthority
        case .noCertificate: .noCertificate
        default: .handshakeFailed
        }
    }

    private static func explainConnection(_ error: any Error) -> LinkError {
        if let error = error as? NIOConnectionError {
            if let first = error.connectionErrors.first?.error { return explainConnection(first) }
            return LinkError(.unreachable, "the name \(error.host) is not known; check the address", cause: error)
        }
        if case .connectTimeout(let time)? = error as? ChannelError {
            return LinkError(
                .timedOut, "no answer within \(Duration(time)); is the peer up, and does a firewall drop its port?")
        }
        guard let error = error as? IOError else {
            return LinkError(.peerWentAway, "the connection was lost", cause: error)
        }
        switch error.errnoCode {
        case ECONNREFUSED:
            return LinkError(
                .refused, "nobody listens there; is the peer running, and is the port right?", cause: error)
        case EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL:
            return LinkError(.unreachable, "there is no route to the peer; is the network up?", cause: error)
        case ETIMEDOUT:
            return LinkError(.timedOut, "the peer does not answer; is it up?", cause: error)
        default:
            return LinkError(.peerWentAway, "the connection was lost", cause: error)
        }
    }
}
