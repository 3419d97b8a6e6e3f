package import NIOSSL

extension LinkTLS {
    /// What a failed handshake, or an alert after it, means and what to do; a `TrustError` is returned as it is.
    ///
    /// In TLS 1.3 a server judges the client's certificate after the client has finished: the client learns of a
    /// refusal with its first read. Pass those errors here, too.
    ///
    /// - Parameters:
    ///   - handler: of the connection that failed, on its event loop; nil where it is gone.
    ///   - credentials: this side's own.
    ///   - now: seconds since 1970.
    package static func explain(
        _ error: any Error, handler: NIOSSLHandler?, credentials: Credentials? = nil, now: Double
    ) -> TrustError {
        if let error = error as? TrustError { return error }
        let text = String(describing: error)
        if text.contains("CERTIFICATE_VERIFY_FAILED") {
            return peerRefused(handler?.peerCertificate, error, now: now)
        }
        if text.contains("PEER_DID_NOT_RETURN_A_CERTIFICATE") {
            return TrustError(
                .noCertificate, "the peer showed no certificate; it must join this fleet first", cause: error)
        }
        if let own = ownRefused(alert: text, credentials: credentials, error, now: now) { return own }
        if text.contains("EOF during handshake") || text.contains("uncleanShutdown") {
            return TrustError(
                .handshake, "the peer closed the connection during the handshake; its log says why", cause: error)
        }
        if text.contains("WRONG_VERSION_NUMBER") || text.contains("HTTP_REQUEST")
            || text.contains("UNSUPPORTED_PROTOCOL")
        {
            return TrustError(.handshake, "the peer does not speak TLS 1.3; is the address Lighter's?", cause: error)
        }
        if text.contains("NO_APPLICATION_PROTOCOL") {
            return TrustError(
                .handshake, "the peer does not speak \(applicationProtocol); upgrade the older side", cause: error)
        }
        return TrustError(.handshake, "the TLS handshake failed; is the address Lighter's?", cause: error)
    }

    /// Refuses a certificate, the peer's, that this side found bad.
    private static func peerRefused(_ certificate: NIOSSLCertificate?, _ error: any Error, now: Double) -> TrustError {
        if let certificate {
            let identity = (try? CertificateReader.identity(of: certificate)).map { "\($0)" } ?? "the peer"
            let validity = (from: Double(certificate.notValidBefore), until: Double(certificate.notValidAfter))
            if let error = outside(validity, whose: identity, now: now, cause: error) { return error }
        }
        return TrustError(
            .unknownAuthority,
            "the peer's certificate is not of this fleet's authority: it belongs to another fleet; join it again here. "
                + "(Or a clock is wrong: a certificate that is not yet valid looks the same)",
            cause: error)
    }

    /// The peer refused this side's certificate, and said so in an alert.
    private static func ownRefused(
        alert: String, credentials: Credentials?, _ error: any Error, now: Double
    ) -> TrustError? {
        if alert.contains("ALERT_CERTIFICATE_EXPIRED") {
            if let credentials {
                let validity = (from: credentials.notBefore, until: credentials.expiresAt)
                if let error = outside(validity, whose: "this node", now: now, cause: error) { return error }
            }
            return TrustError(
                .expired, "the peer says that this node's certificate has expired; are the clocks of both right?",
                cause: error)
        }
        if alert.contains("ALERT_UNKNOWN_CA") || alert.contains("ALERT_BAD_CERTIFICATE")
            || alert.contains("ALERT_CERTIFICATE_UNKNOWN") || alert.contains("ALERT_UNSUPPORTED_CERTIFICATE")
        {
            return TrustError(
                .unknownAuthority,
                "the peer refused this node's certificate: it belongs to another fleet; join this one with a new token",
                cause: error)
        }
        if alert.contains("ALERT_CERTIFICATE_REQUIRED") {
            return TrustError(
                .noCertificate, "the peer wants a certificate and this node has none; join the fleet first",
                cause: error)
        }
        return nil
    }

    private static func outside(
        _ validity: (from: Double, until: Double), whose: String, now: Double, cause: any Error
    ) -> TrustError? {
        if now > validity.until {
            return TrustError(
                .expired,
                """
                the certificate of \(whose) expired \(spoken(seconds: now - validity.until)) ago; is the clock right? \
                If it is, that node must join again with a new token
                """, cause: cause)
        }
        if now < validity.from {
            return TrustError(
                .notYetValid,
                "the certificate of \(whose) begins in \(spoken(seconds: validity.from - now)); is the clock right?",
                cause: cause)
        }
        return nil
    }
}
