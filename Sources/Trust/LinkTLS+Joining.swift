import Crypto
package import NIOCore
package import NIOSSL

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

// A joiner knows no more of the fleet than its authority's digest, and TLS needs the certificate. So joining takes two
// connections. On the first nothing is sent or believed: the chain that the gateway shows is searched for the
// certificate with the digest, and the handshake is refused. That certificate, now known to be the fleet's authority,
// is the only trust root of the second connection, on which BoringSSL checks everything as it does between members.
// Whoever stands between can show the authority's certificate, but has no leaf that it signed.
extension LinkTLS {
    /// The context with which to join, found over a fresh TCP connection to the gateway, which is closed again.
    ///
    /// The caller connects a second time with the context and must then pass `PeerIdentity.requireGateway` before it
    /// sends the token: a node of the same fleet has a good chain, too.
    ///
    /// - Parameter channel: connected, without handlers.
    /// - Returns: fails with `TrustError`: `tokenAuthorityMismatch`, `noCertificate` or `handshake`.
    package static func joining(token: JoinToken, over channel: any Channel) -> EventLoopFuture<NIOSSLContext> {
        let found = channel.eventLoop.makePromise(of: NIOSSLContext.self)
        return channel.eventLoop.submit {
            // Never makes a connection: the verification below always says no.
            let probe = try context(trusting: [], .makeClientConfiguration())
            let handler = try NIOSSLClientHandler(
                context: probe, serverHostname: nil,
                customVerificationCallback: { chain, verdict in
                    found.completeWith(Result { try joining(token: token, presented: chain) })
                    verdict.succeed(.failed)
                })
            try channel.pipeline.syncOperations.addHandlers(handler, ProbeEnd(found: found))
        }.flatMapError { error in
            found.fail(error)
            return channel.eventLoop.makeSucceededVoidFuture()
        }.flatMap {
            found.futureResult
        }.always { _ in
            channel.close(promise: nil)
        }
    }

    /// The context that trusts the one presented certificate whose digest the token names, and nothing else.
    ///
    /// - Throws: `noCertificate` for an empty chain, `tokenAuthorityMismatch` where none has the digest.
    package static func joining(
        token: JoinToken, presented chain: [NIOSSLCertificate]
    ) throws(TrustError) -> NIOSSLContext {
        guard !chain.isEmpty else {
            throw TrustError(.noCertificate, "the gateway showed no certificate; check its address")
        }
        let authority = chain.first { certificate in
            guard let der = try? certificate.toDERBytes() else { return false }
            return Array(SHA256.hash(data: der)) == token.caDigest
        }
        guard let authority else {
            throw TrustError(
                .tokenAuthorityMismatch,
                """
                the gateway belongs to another fleet than the join token, or someone stands between; \
                check the gateway's address, and ask it for a new token
                """)
        }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .noHostnameVerification
        return try context(trusting: [authority], configuration)
    }
}

/// Says why when the connection ended before a chain was seen.
private final class ProbeEnd: ChannelInboundHandler {
    typealias InboundIn = Never

    private let found: EventLoopPromise<NIOSSLContext>

    init(found: EventLoopPromise<NIOSSLContext>) { self.found = found }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Once a chain was seen the promise is kept, and this error is the refusal that was meant.
        found.fail(LinkTLS.explain(error, handler: nil, now: 0))
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        found.fail(TrustError(.handshake, "the connection was closed before TLS began; is the address a gateway's?"))
        context.fireChannelInactive()
    }
}
