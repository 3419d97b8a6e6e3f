internal import DockerAPI

/// A bind mount of a container elsewhere: a path of this device that is kept equal with a mirror at the target.
package struct MirroredMount: Sendable, Hashable {
    package var source: String
    /// Where the container has it.
    package var target: String
    package var isFile: Bool

    package init(source: String, target: String, isFile: Bool) {
        self.source = source
        self.target = target
        self.isFile = isFile
    }

    var json: JSON { ["source": .string(source), "target": .string(target), "file": .bool(isFile)] }

    init?(json: JSON) {
        guard let source = json["source"]?.stringValue, let target = json["target"]?.stringValue else { return nil }
        self.init(source: source, target: target, isFile: json["file"]?.boolValue ?? false)
    }
}
