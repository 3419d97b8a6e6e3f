import NIOSSL

/// Reads from certificates what Lighter needs of them; parsing and checking are BoringSSL's.
enum CertificateReader {
    /// The certificates in `pem`, at least one.
    static func chain(pem: String, what: String) throws(TrustError) -> [NIOSSLCertificate] {
        do {
            let chain = try NIOSSLCertificate.fromPEMBytes(Array(pem.utf8))
            guard !chain.isEmpty else { throw NIOSSLError.failedToLoadCertificate }
            return chain
        } catch {
            throw TrustError(.malformedCertificate, "\(what) cannot be read as PEM; join the fleet again", cause: error)
        }
    }

    /// The identity in the certificate's one subject alternative name.
    static func identity(of certificate: NIOSSLCertificate) throws(TrustError) -> PeerIdentity {
        var uris: [String] = []
        var names = 0
        for name in certificate._subjectAlternativeNames() {
            names += 1
            if name.nameType == .uri { uris.append(String(decoding: name.contents, as: UTF8.self)) }
        }
        guard names == 1, let uri = uris.first else {
            throw TrustError(
                .malformedIdentity,
                "a certificate has \(names) alternative names where Lighter's has one, a lighter:// URI; "
                    + "join the fleet again with a new token")
        }
        return try PeerIdentity(uri: uri)
    }
}
