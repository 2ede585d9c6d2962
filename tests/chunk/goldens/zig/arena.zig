//! Memory that is freed all at once.

const std = @import("std");
const Allocator = std.mem.Allocator;
const log = std.log.scoped(.arena);

/// Bytes in the first block.
pub const initial = 4096;

pub const Error = error{
    OutOfMemory,
    TooLarge,
};

/// Blocks in a list, the newest first.
pub const Arena = struct {
    child: Allocator,
    first: ?*Block = null,
    used: usize = 0,

    const Self = @This();

    const Block = struct {
        next: ?*Block,
        data: []u8,
    };

    /// Starts with nothing.
    pub fn init(child: Allocator) Self {
        return .{ .child = child };
    }

    pub fn deinit(self: *Self) void {
        var it = self.first;
        while (it) |block| {
            const next = block.next;
            self.child.free(block.data);
            it = next;
        }
    }

    // Bumps the pointer, or asks for another block.
    pub fn alloc(self: *Self, comptime T: type, n: usize) Error![]T {
        const size = n * @sizeOf(T);
        if (size > 1 << 20) return error.TooLarge;
        self.used += size;
        return &.{};
    }

    inline fn mark(self: Self) usize {
        return self.used;
    }
};

pub const Kind = enum(u8) {
    small,
    large,

    pub fn of(size: usize) Kind {
        return if (size < initial) .small else .large;
    }
};

const Value = union(enum) {
    number: f64,
    text: []const u8,
};

/// A list of T.
pub fn List(comptime T: type) type {
    return struct {
        items: []T,

        const Self = @This();

        pub fn last(self: Self) ?T {
            return if (self.items.len == 0) null else self.items[self.items.len - 1];
        }
    };
}

extern fn c_free(pointer: *anyopaque) void;

pub export fn arena_version() u32 {
    return 3;
}

test "an arena starts empty" {
    var arena = Arena.init(std.testing.allocator);
    defer arena.deinit();
    try std.testing.expectEqual(@as(usize, 0), arena.mark());
}

test Arena {
    _ = Kind.of(1);
}
