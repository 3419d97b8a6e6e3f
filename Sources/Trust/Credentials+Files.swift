#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#else
    import Darwin
#endif
#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension Credentials {
    private enum Name {
        static let certificate = "cert.pem"
        static let key = "key.pem"
        static let authority = "ca.pem"
        static let ticketKey = "ticket.pub"
        static let identity = "identity.json"
    }

    /// `identity.json`: what a person wants to see, and the one thing that is in no certificate.
    private struct Label: Codable {
        var fleet: String
        var identity: String
    }

    /// Whether credentials were saved in `directory`; they may still be damaged.
    package static func exist(in directory: String) -> Bool { SecretDirectory(directory).contains(Name.certificate) }

    /// Reads what `save` wrote, also while another process replaces it: files of two sets do not fit together, and are read again.
    ///
    /// - Throws: `missingFile`, `corruptFile`, `unsafePermissions`, `fileSystem`, each naming the file.
    package static func load(from directory: String) throws(TrustError) -> Credentials {
        for _ in 0..<3 {
            do { return try read(from: directory) } catch  where [.corruptFile, .missingFile].contains(error.code) {
                usleep(20_000)
            }
        }
        return try read(from: directory)
    }

    private static func read(from directory: String) throws(TrustError) -> Credentials {
        let files = SecretDirectory(directory)
        let key = try files.read(Name.key, isSecret: true)
        let certificate = try files.read(Name.certificate)
        let authority = try files.read(Name.authority)
        let ticketKey = try files.read(Name.ticketKey)
        let label = try files.read(Name.identity)
        do {
            let label = try JSONDecoder().decode(Label.self, from: Data(label))
            let credentials = try Credentials(
                fleet: label.fleet, certificateChainPEM: text(certificate), keyPEM: text(key), caPEM: text(authority),
                ticketPublicKey: ticketKey)
            guard credentials.identity.uri == label.identity else {
                throw TrustError(.corruptFile, "\(Name.identity) and \(Name.certificate) name different holders")
            }
            return credentials
        } catch {
            throw TrustError(
                .corruptFile, "the credentials in \(directory) are damaged; restore them or join the fleet again",
                cause: error)
        }
    }

    /// Writes all files durably and together; the directory becomes 0700, the key 0600.
    package func save(to directory: String) throws(TrustError) {
        let label: Data
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            label = try encoder.encode(Label(fleet: fleet, identity: identity.uri))
        } catch {
            throw TrustError(.corruptFile, "the fleet's name '\(fleet)' cannot be written", cause: error)
        }
        try SecretDirectory(directory).replace([
            .init(Name.key, Array(keyPEM.utf8), isSecret: true),
            .init(Name.certificate, Array(certificateChainPEM.utf8)),
            .init(Name.authority, Array(caPEM.utf8)),
            .init(Name.ticketKey, ticketPublicKey),
            .init(Name.identity, Array(label)),
        ])
    }

    private static func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
}
