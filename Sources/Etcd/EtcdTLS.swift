import NIOSSL

/// The files with which `etcds://` is spoken; PEM.
package struct EtcdTLS: Sendable, Hashable {
    /// Who signed etcd's certificates; nil for the authorities that the system trusts.
    package var authority: String?
    /// This gateway's own certificate, for an etcd that asks for one, and its key: both or neither.
    package var certificate: String?
    package var key: String?

    package init(authority: String? = nil, certificate: String? = nil, key: String? = nil) {
        self.authority = authority
        self.certificate = certificate
        self.key = key
    }

    /// - Throws: `.configuration` naming the file that cannot be used.
    func context() throws(EtcdError) -> NIOSSLContext {
        guard (certificate == nil) == (key == nil) else {
            throw EtcdError(.configuration, "a certificate for etcd needs its key, and a key its certificate")
        }
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.applicationProtocols = ["h2"]
        configuration.minimumTLSVersion = .tlsv12
        do {
            if let authority {
                configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(authority))
            }
            if let certificate, let key {
                configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) }
                configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: key, format: .pem))
            }
            return try NIOSSLContext(configuration: configuration)
        } catch {
            let files = [authority, certificate, key].compactMap(\.self).joined(separator: ", ")
            throw EtcdError(.configuration, "the certificates for etcd (\(files)) cannot be used", cause: error)
        }
    }
}
