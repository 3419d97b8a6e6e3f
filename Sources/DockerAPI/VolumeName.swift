/// What engines call volumes.
package enum VolumeName {
    /// Whether an engine has drawn the name, as it does for a volume that its user gave none: 64 hexadecimal digits.
    package static func isAnonymous(_ name: String) -> Bool {
        name.utf8.count == 64
            && name.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
    }
}
