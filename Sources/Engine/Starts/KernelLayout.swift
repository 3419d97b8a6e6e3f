import CBPF
import Glibc

/// Where the running kernel keeps what is read of a task, by its own description of its types.
struct KernelLayout: Sendable, Hashable {
    /// In a task: its id, with one number for each PID namespace that sees it.
    var taskID: Int32
    /// In an id: the innermost of those namespaces, counted from the machine's own as 0.
    var idLevel: Int32
    /// In an id: the number as seen from the machine, the others behind it at a distance of `numberSize`.
    var firstNumber: Int32
    var numberSize: Int32
    /// In a task: its set of control groups.
    var taskGroups: Int32
    /// In such a set: its group of version 2.
    var unifiedGroup: Int32
    /// In such a set: its state in the memory controller; nil where the kernel has no such controller.
    var memoryState: Int32?
    /// In a state of a controller: the group.
    var stateGroup: Int32

    /// Reads it; a matter of some 20 ms and, for as long, of 6 MB.
    static func read(_ library: BPFLibrary) throws(KernelRefusal) -> KernelLayout {
        guard let types = library.loadTypes() else {
            throw KernelRefusal("the kernel does not describe its types (/sys/kernel/btf/vmlinux)", number: errno)
        }
        defer { library.freeTypes(types) }
        return try KernelLayout(Types(library: library, types: types))
    }

    private init(_ types: Types) throws(KernelRefusal) {
        let task = try types.structure("task_struct")
        let id = try types.structure("pid")
        let number = try types.structure("upid")
        let groups = try types.structure("css_set")
        taskID = try types.offset(of: "thread_pid", in: task)
        idLevel = try types.offset(of: "level", in: id)
        firstNumber = try types.offset(of: "numbers", in: id) + types.offset(of: "nr", in: number)
        numberSize = Int32(number.pointee.size_or_type)
        taskGroups = try types.offset(of: "cgroups", in: task)
        unifiedGroup = try types.offset(of: "dfl_cgrp", in: groups)
        stateGroup = try types.offset(of: "cgroup", in: try types.structure("cgroup_subsys_state"))
        let states = try types.offset(of: "subsys", in: groups)
        memoryState = types.value(of: "memory_cgrp_id", in: "cgroup_subsys_id")
            .map { states + $0 * Int32(MemoryLayout<UInt>.size) }
    }
}

/// The kernel's types in BTF.
private struct Types {
    private static let (structureKind, unionKind, enumerationKind) = (UInt32(4), UInt32(5), UInt32(6))

    let library: BPFLibrary
    let types: UnsafeMutableRawPointer

    func structure(_ name: String) throws(KernelRefusal) -> UnsafePointer<btf_type> {
        let id = library.findType(types, name, Self.structureKind)
        guard id > 0, let found = library.type(types, UInt32(id)) else {
            throw KernelRefusal("the kernel's types have no \(name)")
        }
        return found
    }

    func offset(of field: String, in structure: UnsafePointer<btf_type>) throws(KernelRefusal) -> Int32 {
        guard let bits = bits(before: field, in: structure) else {
            throw KernelRefusal("the kernel's \(name(structure.pointee.name_off)) has no \(field)")
        }
        return Int32(bits / 8)
    }

    /// Anonymous structures and unions are looked into.
    private func bits(before field: String, in structure: UnsafePointer<btf_type>) -> UInt32? {
        let isPacked = structure.pointee.info >> 31 == 1
        for member in entries(of: structure, as: btf_member.self) {
            let offset = isPacked ? member.offset & 0xff_ffff : member.offset
            let name = name(member.name_off)
            if name == field { return offset }
            guard name.isEmpty, let inner = library.type(types, member.type),
                [Self.structureKind, Self.unionKind].contains(inner.pointee.info >> 24 & 0x1f),
                let further = bits(before: field, in: inner)
            else { continue }
            return offset + further
        }
        return nil
    }

    func value(of name: String, in enumeration: String) -> Int32? {
        let id = library.findType(types, enumeration, Self.enumerationKind)
        guard id > 0, let found = library.type(types, UInt32(id)) else { return nil }
        return entries(of: found, as: btf_enum.self).first { self.name($0.name_off) == name }?.val
    }

    private func entries<T>(of type: UnsafePointer<btf_type>, as _: T.Type) -> UnsafeBufferPointer<T> {
        let first = UnsafeRawPointer(type + 1).assumingMemoryBound(to: T.self)
        return UnsafeBufferPointer(start: first, count: Int(type.pointee.info & 0xffff))
    }

    private func name(_ offset: UInt32) -> String { library.name(types, offset).map { String(cString: $0) } ?? "" }
}
