import Yams

/// Follows a project's files to the services that they make up, as Compose does: overrides, `extends` and `include`.
struct ProjectReader {
    /// The text of a file by its path from the root; nil where there is none, which is for Compose to complain of.
    let read: (String) -> String?

    /// The services of files that are laid one over the other, and of what those include.
    /// - Parameter directory: where their relative paths begin.
    func services(
        _ files: [ComposeFile], in directory: String, below visited: Set<String> = []
    ) throws(ComposeError) -> [String: ServiceOutline] {
        var services: [String: ServiceOutline] = [:]
        var defaults = OffloadSettings()
        for file in files {
            for document in file.documents {
                for (name, service) in try included(by: document, in: directory, below: visited)
                where services[name] == nil {
                    services[name] = service
                }
                for (name, service) in document[entry: "services"]?.entries ?? [] {
                    guard service.mergeTag != .reset else {
                        services[name] = nil
                        continue
                    }
                    var outline = try self.outline(name, in: document, of: file, directory, below: [])
                    if let earlier = services[name], service.mergeTag == nil { outline.fill(from: earlier) }
                    services[name] = outline
                }
                try Self.lay(document, of: file, over: &defaults)
            }
        }
        return services.mapValues { service in
            var service = service
            service.fill(from: defaults)
            return service
        }
    }

    private static func lay(
        _ document: Node, of file: ComposeFile, over defaults: inout OffloadSettings
    ) throws(ComposeError) {
        let name = OffloadBlock.extensionField.rawValue
        guard let block = document[entry: name] else { return }
        let earlier = block.mergeTag == nil ? defaults : OffloadSettings()
        defaults = OffloadSettings()
        if block.mergeTag != .reset {
            defaults = try OffloadSettings(block, at: Place(file: file.title, service: nil, block: name))
        }
        defaults.fill(from: earlier)
    }

    // MARK: - extends

    /// A service with what it takes over from the service that it extends, in this file or another.
    private func outline(
        _ name: String, in document: Node, of file: ComposeFile, _ directory: String, below visited: Set<[String]>
    ) throws(ComposeError) -> ServiceOutline {
        // A circle is Compose's to complain of.
        guard let service = document[entry: "services"]?[entry: name], !visited.contains([file.path, name]) else {
            return ServiceOutline()
        }
        var outline = try ServiceOutline(service, named: name, in: file.title)
        guard let extended = service[entry: "extends"], let base = extended.text ?? extended[entry: "service"]?.text
        else { return outline }
        let visited = visited.union([[file.path, name]])
        guard let path = extended[entry: "file"]?.text else {
            outline.fill(from: try self.outline(base, in: document, of: file, directory, below: visited))
            return outline
        }
        guard let other = try load(FilePath.absolute(path, from: directory), calledAs: path),
            let document = other.documents.first
        else { return outline }
        try refusePolicy(of: base, in: document, of: path)
        let folder = FilePath.parent(of: other.path)
        outline.fill(from: try self.outline(base, in: document, of: other, folder, below: visited))
        return outline
    }

    // MARK: - include

    private func included(
        by document: Node, in directory: String, below visited: Set<String>
    ) throws(ComposeError) -> [String: ServiceOutline] {
        guard case .sequence(let entries) = document[entry: "include"] else { return [:] }
        var services: [String: ServiceOutline] = [:]
        for entry in entries {
            let paths = Self.paths(of: entry)
            let absolute = paths.map { FilePath.absolute($0, from: directory) }
            guard let first = absolute.first, visited.isDisjoint(with: absolute) else { continue }
            var files: [ComposeFile] = []
            for (name, path) in zip(paths, absolute) {
                guard let file = try load(path, calledAs: name) else { continue }
                for document in file.documents {
                    for (service, _) in document[entry: "services"]?.entries ?? [] {
                        try refusePolicy(of: service, in: document, of: name)
                    }
                }
                files.append(file)
            }
            let inner = entry[entry: "project_directory"]?.text.map { FilePath.absolute($0, from: directory) }
            let found = try self.services(
                files, in: inner ?? FilePath.parent(of: first), below: visited.union(absolute))
            services.merge(found) { first, _ in first }
        }
        return services
    }

    private static func paths(of entry: Node) -> [String] {
        if let path = entry.text { return [path] }
        guard let path = entry[entry: "path"] else { return [] }
        if case .sequence(let paths) = path { return paths.compactMap(\.text) }
        return path.text.map { [$0] } ?? []
    }

    // MARK: - files

    private func load(_ path: String, calledAs name: String) throws(ComposeError) -> ComposeFile? {
        guard let text = read(path) else { return nil }
        return try ComposeFile(name: name, path: path, text: text)
    }

    /// A file that another names is read by Compose itself, which refuses the key.
    private func refusePolicy(of service: String, in document: Node, of file: String) throws(ComposeError) {
        let block = OffloadBlock.policy.rawValue
        guard document[entry: "services"]?[entry: service]?[entry: block] != nil else { return }
        throw Place(file: file, service: service, block: block).refuse(
            "in a file that another one extends or includes, call it \(OffloadBlock.extensionField.rawValue)",
            .misplaced)
    }
}
