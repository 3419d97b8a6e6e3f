import Trust

extension CertificateAuthority {
    private enum Name {
        static let certificate = "authority.pem"
        static let key = "authority.key"
        static let ticketKey = "ticket.key"
    }

    /// Whether an authority was saved in `directory`; it may still be damaged.
    package static func exists(in directory: String) -> Bool { SecretDirectory(directory).contains(Name.certificate) }

    /// Reads what `save` wrote.
    ///
    /// - Throws: `files` (missing, not readable, readable by others too) or `damaged`.
    package static func load(from directory: String) throws(AuthorityError) -> CertificateAuthority {
        let files = SecretDirectory(directory)
        let certificate: [UInt8]
        let key: [UInt8]
        let ticketKey: [UInt8]
        do throws(TrustError) {
            certificate = try files.read(Name.certificate)
            key = try files.read(Name.key, isSecret: true)
            ticketKey = try files.read(Name.ticketKey, isSecret: true)
        } catch {
            throw AuthorityError(.files, "the fleet's authority cannot be read from \(directory)", cause: error)
        }
        return try CertificateAuthority(
            certificatePEM: String(decoding: certificate, as: UTF8.self), keyPEM: String(decoding: key, as: UTF8.self),
            ticketKey: ticketKey)
    }

    /// Writes all files durably and together: the directory becomes 0700, the keys 0600.
    package func save(to directory: String) throws(AuthorityError) {
        do throws(TrustError) {
            try SecretDirectory(directory).replace([
                .init(Name.certificate, Array(certificatePEM.utf8)),
                .init(Name.key, Array(keyPEM.utf8), isSecret: true),
                .init(Name.ticketKey, ticketSigner.rawKey, isSecret: true),
            ])
        } catch {
            throw AuthorityError(.files, "the fleet's authority cannot be written to \(directory)", cause: error)
        }
    }
}
