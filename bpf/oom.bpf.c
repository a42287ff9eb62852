/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * In: the kernel's mark_victim and signal_deliver tracepoints, raw, and where it can be had the entry and exit of
 * out_of_memory(). Out: records (oom.h) in the ring buffer `ring`.
 *
 * mark_victim fires once or more for each victim, in the task whose allocation failed (the trigger). Marks come one
 * at a time on a machine: every caller of mark_oom_victim() holds oom_lock (mm/oom_kill.c). The victim's SIGKILL is
 * already sent, so user space would race with its exit; whatever the record needs is read here.
 *
 * A process's arguments can be read only in its own address space. Where the trigger is the victim (the common case)
 * that is here; for any other victim it is signal_deliver, which runs in the victim before it drops its memory. Such
 * a victim waits in `pending`; its arguments come as a second record. As the SIGKILL is sent before the mark, it can
 * also arrive before it: so signal_deliver leaves what it reads in `early`, for a mark that is still to come.
 *
 * In a group kill the trigger waits there, too, if it is a victim: its SIGKILL is delivered when it has left the OOM
 * killer, which is after the last mark. So its second record also says that the group is complete.
 *
 * The ring is shared out: see share().
 *
 * Rules: raw tracepoints for all that must work (their links can be pinned on every kernel, and need no tracefs and no
 * perf_event_open); whatever differs between kernels is asked for by field (kernel.h); what does not fit is cut and
 * flagged; a full ring is counted.
 */
#include <stdbool.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include "kernel.h"
#include "oom.h"

#define SIGKILL 9
#define PAGE 4096 /* or a divisor of the real page size */

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* user space sets it before it loads the object */
} ring SEC(".maps");

struct counters {
	__u64 lost; /* records that found no room in the ring */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

/* Of which memcgs they were, by the inode of its directory; where there are more, of the latest. User space takes them
 * out as it tells them. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u64);
} losses SEC(".maps");

/* How often a record was written while the ring was less than half full: between two such moments it is the same rush. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} rush SEC(".maps");
/* The latest rush in which a memcg, by its inode, had a record. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, __u64);
} served SEC(".maps");

/* Of the processes whose tgid ends in the same bits, the one that was marked last, and the last of which nothing is
 * waited for, each by its start. Threads that die later mark a process again: if another has taken its place by then,
 * it is recorded twice, and user space knows it. (An update of an LRU hash takes 1.5 us, its map five times the
 * memory.) */
#define PLACES 4096
struct marked {
	__u64 start_ns;
	__u64 settled_ns; /* what its SIGKILL would find is known, or not wanted */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PLACES);
	__type(key, __u32);
	__type(value, struct marked);
} marked SEC(".maps");

/* A thread group's id may be used again. */
struct victim {
	__u64 start_ns;
	__u32 tgid;
	__u32 padding;
};
/* Victims whose SIGKILL is waited for. */
struct wait {
	__u64 inode;  /* of the memcg's directory */
	__u32 thread; /* that must receive it; 0: any */
	__u32 padding;
};
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct victim);
	__type(value, struct wait);
} pending SEC(".maps");

/* The OOM that is being handled, one at a time (oom_lock). Where the kernel lets us know. */
struct domain {
	__u64 inode;  /* of the memcg's directory; 0: the node's */
	__u32 thread; /* that handles it; 0: none */
	__u32 padding;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct domain);
} domain SEC(".maps");

/* Records are put together here: they are too large for the stack, and the ring takes a length known beforehand. One
 * for all CPUs, as marks come one at a time. */
struct mark_scratch {
	struct oom_mark mark;
	char text[2 * OOM_PATH + OOM_ARGUMENTS + OOM_ENVIRONMENT + PAGE]; /* a spare page, so that bounds are plain */
	__u32 group; /* whether one of the levels is killed as a whole */
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mark_scratch);
} mark_scratch SEC(".maps");
struct arguments {
	struct oom_arguments record;
	char text[OOM_ARGUMENTS + OOM_ENVIRONMENT + PAGE];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct arguments);
} arguments_scratch SEC(".maps");

/* What processes that got a SIGKILL were called, the last few: for a victim that gets it before it is marked. Seen in 1
 * of 20 kills on a busy machine of 2 CPUs: the trigger sends the signal, loses its CPU, and marks later. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32);
	__type(key, struct victim);
	__type(value, struct arguments);
} early SEC(".maps");

/* For the verifier. It follows each value that a variable may have through all that comes later: Linux 5.10 was minutes
 * at it. What is in a map may be anything to it, so flags are gathered in the record itself; and what a function returns
 * that is not static, for that is verified on its own.
 *
 * Keep the compiler from moving a bound that the verifier must see next to its use. */
#define opaque(x) asm volatile("" : "+r"(x))

/* -- the ring -------------------------------------------------------------------------------------------------- */

static __always_inline bool is_roomy(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / 2;
}

/* How much of the ring a memcg may have now. A group kill, or a container that is killed again and again, can fill it
 * before user space has written the records to disk; then others, whose limit runs out meanwhile, must be reported all
 * the same. So in its second half a record is short: without arguments and environment it has about 1.3 KB, with them
 * up to 22. And in its last quarter each memcg has one. */
enum share { WHOLE, SHORT, NONE };
__noinline int share(__u64 inode)
{
	const __u32 zero = 0;
	__u64 *current_rush = bpf_map_lookup_elem(&rush, &zero);

	if (!current_rush)
		return WHOLE;
	if (is_roomy()) {
		__sync_fetch_and_add(current_rush, 1);
		return WHOLE;
	}
	__u64 now = *current_rush, *last = bpf_map_lookup_elem(&served, &inode);
	__u64 size = bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE);

	if (last && *last == now && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >= size - size / 4)
		return NONE;
	bpf_map_update_elem(&served, &inode, &now, BPF_ANY);
	return SHORT;
}

static __always_inline void fill_header(struct oom_header *header, __u16 kind, struct counters *count)
{
	header->format = OOM_FORMAT;
	header->kind = kind;
	header->time_ns = bpf_ktime_get_boot_ns();
	header->lost = count->lost;
}

/* Write a record of `fixed` bytes and `text` more; `most` is the text's limit, for the verifier. The reader is always
 * woken: by itself the kernel does that only for a reader that has freed all before, and ours frees later. That takes
 * longer than all else here: an interrupt of this CPU, in which the kernel does it, and one of the CPU that sleeps. */
static __always_inline bool emit(struct oom_header *header, __u32 fixed, __u64 text, __u64 most)
{
	opaque(text);
	if (text > most)
		text = most;
	header->size = fixed + text;
	return bpf_ringbuf_output(&ring, header, fixed + text, BPF_RB_FORCE_WAKEUP) == 0;
}

/* A record of that memcg is lost. */
static __always_inline void lose(struct counters *count, __u64 inode)
{
	const __u64 one = 1;
	__u64 *known = bpf_map_lookup_elem(&losses, &inode);

	__sync_fetch_and_add(&count->lost, 1);
	if (known)
		__sync_fetch_and_add(known, 1);
	else
		bpf_map_update_elem(&losses, &inode, &one, BPF_ANY);
}

static __always_inline void emit_arguments(struct arguments *arguments, __u64 inode, struct counters *count)
{
	struct oom_arguments *record = &arguments->record;

	if (!is_roomy()) {
		record->flags |= OOM_ARGUMENTS_OMITTED;
		record->arguments_length = record->environment_length = 0;
	}
	__u64 text = (__u64)record->arguments_length + record->environment_length;
	if (!emit(&record->header, sizeof(*record), text, sizeof(arguments->text)))
		lose(count, inode);
}

/* -- tasks ----------------------------------------------------------------------------------------------------- */

/* The task of a pid in the initial namespace, by the walk of find_task_by_pid_ns(): an xarray of at most six levels
 * whose inner entries have bit 1 set. For kernels that pass only the pid; no helper does it on all of them. */
static __always_inline struct task_struct *find_task(__u32 pid_number)
{
	struct task_struct *current = (void *)bpf_get_current_task();
	unsigned long entry = (unsigned long)BPF_CORE_READ(current, thread_pid, numbers[0].ns, idr.idr_rt.xa_head);

	for (int i = 0; i < 6; i++) {
		if ((entry & 3) != 2)
			break;
		struct xa_node *node = (void *)(entry - 2);
		unsigned int slot = (pid_number >> (BPF_CORE_READ(node, shift) & 31)) & 63;
		unsigned long slots = (unsigned long)node + bpf_core_field_offset(node->slots);
		if (bpf_probe_read_kernel(&entry, sizeof(entry), (void *)(slots + slot * sizeof(void *))))
			return NULL;
	}
	struct pid *pid = (void *)entry;
	unsigned long link = (unsigned long)BPF_CORE_READ(pid, tasks[0].first);

	return link ? (void *)(link - bpf_core_field_offset(struct task_struct, pid_links)) : NULL;
}

static __always_inline struct pid_namespace *own_pid_namespace(struct task_struct *leader, struct oom_mark *mark)
{
	struct pid *pid = BPF_CORE_READ(leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct upid own;
	/* numbers[] has one entry for each namespace from the initial one down to the task's own. */
	unsigned long numbers = (unsigned long)pid + bpf_core_field_offset(pid->numbers);

	if (bpf_probe_read_kernel(&own, sizeof(own), (void *)(numbers + level * sizeof(own))))
		return NULL;
	mark->ns_level = level;
	mark->ns_tgid = own.nr;
	return own.ns;
}

static __always_inline __s64 rss(struct mm_struct *mm, int member)
{
	__s64 count = 0;

	if (bpf_core_field_exists(struct mm_struct___percpu, rss_stat[0].count)) {
		struct mm_struct___percpu *percpu = (void *)mm;
		unsigned long base = (unsigned long)mm + bpf_core_field_offset(percpu->rss_stat);
		unsigned long at = base + member * bpf_core_type_size(struct percpu_counter) +
				   bpf_core_field_offset(struct percpu_counter, count);
		bpf_probe_read_kernel(&count, sizeof(count), (void *)at);
	} else {
		struct mm_struct___plain *plain = (void *)mm;
		unsigned long base = (unsigned long)mm + bpf_core_field_offset(plain->rss_stat.count);
		bpf_probe_read_kernel(&count, sizeof(count), (void *)(base + member * sizeof(count)));
	}
	return count > 0 ? count : 0; /* as get_mm_counter(): a sum in flight can be below zero */
}

/* -- memcgs ---------------------------------------------------------------------------------------------------- */

static __always_inline struct cgroup_subsys_state *memcg_css(struct task_struct *task)
{
	struct css_set *set = BPF_CORE_READ(task, cgroups);
	struct cgroup_subsys_state *css = NULL;
	unsigned long subsys = (unsigned long)set + bpf_core_field_offset(set->subsys);
	__u64 id = bpf_core_enum_value(enum cgroup_subsys_id, memory_cgrp_id);

	bpf_probe_read_kernel(&css, sizeof(css), (void *)(subsys + id * sizeof(css)));
	return css;
}

static __always_inline __u64 inode_of(struct cgroup_subsys_state *css)
{
	return BPF_CORE_READ(css, cgroup, kn, id);
}

/* How far up a path is followed for its beginning. */
#define DEEPEST 1024

/* The memcg itself or, of one with more than OOM_LEVELS above it and itself, the ancestor that is the last of the first
 * OOM_LEVELS from the root: the beginning of a path says whose it is, and its end may be a tenant's own choice. NULL
 * where that is further up than we go. */
__noinline __u64 recorded(__u64 of)
{
	struct cgroup_subsys_state *css = (void *)of;
	int level = BPF_CORE_READ(css, cgroup, level);

	for (int i = 0; i < DEEPEST && level > OOM_LEVELS; i++, level--)
		css = BPF_CORE_READ(css, parent);
	return level > OOM_LEVELS ? 0 : (__u64)css;
}

static __always_inline void fill_level(struct oom_level *level, struct cgroup_subsys_state *css)
{
	struct mem_cgroup *memcg = (void *)css - bpf_core_field_offset(struct mem_cgroup, css);

	level->inode = inode_of(css);
	level->usage_pages = BPF_CORE_READ(memcg, memory.usage.counter);
	level->limit_pages = BPF_CORE_READ(memcg, memory.max);
	level->peak_pages = BPF_CORE_READ(memcg, memory.watermark);
	level->swap_usage_pages = BPF_CORE_READ(memcg, swap.usage.counter);
	level->swap_limit_pages = BPF_CORE_READ(memcg, swap.max);
	unsigned long events = (unsigned long)memcg + bpf_core_field_offset(struct mem_cgroup, memory_events_local);
	__u64 oom = bpf_core_enum_value(enum memcg_memory_event, MEMCG_OOM);
	bpf_probe_read_kernel(&level->ooms, sizeof(level->ooms), (void *)(events + oom * sizeof(level->ooms)));
	level->flags = BPF_CORE_READ(memcg, oom_group) ? OOM_LEVEL_GROUP : 0;
	if (bpf_core_field_exists(struct mem_cgroup___v1, oom_lock)) {
		struct mem_cgroup___v1 *v1 = (void *)memcg;
		if (BPF_CORE_READ(v1, oom_lock))
			level->flags |= OOM_LEVEL_LOCKED;
	}
}

static __noinline int fill_levels(struct mark_scratch *scratch, struct cgroup_subsys_state *css)
{
	struct oom_mark *mark = &scratch->mark;
	int n;

	for (n = 0; n < OOM_LEVELS && css; n++) {
		fill_level(&mark->level[n], css);
		if (mark->level[n].flags & OOM_LEVEL_GROUP)
			scratch->group = 1;
		css = BPF_CORE_READ(css, parent);
	}
	mark->levels = n;
	return 0;
}

/* Append the path's components, the deepest first, and return the new end of the text: none of them where one cannot be
 * read, for a path without its middle is another's. */
static __noinline __u64 append_path(struct mark_scratch *scratch, __u64 begin, struct cgroup_subsys_state *css,
				    __u32 flag)
{
	struct kernfs_node *node = BPF_CORE_READ(css, cgroup, kn);
	__u64 end = begin;

	for (int i = 0; i <= OOM_LEVELS; i++) {
		struct kernfs_node *parent;

		if (bpf_core_field_exists(struct kernfs_node___rcu, __parent))
			parent = BPF_CORE_READ((struct kernfs_node___rcu *)node, __parent);
		else
			parent = BPF_CORE_READ((struct kernfs_node___plain *)node, parent);
		if (!parent) /* the hierarchy's root, which has no name */
			return end;
		opaque(end);
		if (end > 2 * OOM_PATH - OOM_COMPONENT)
			break;
		long length = bpf_probe_read_kernel_str(scratch->text + end, OOM_COMPONENT, BPF_CORE_READ(node, name));
		if (length < 0 || length > OOM_COMPONENT)
			break;
		end += length;
		node = parent;
	}
	scratch->mark.flags |= flag;
	return begin;
}

/* -- arguments ------------------------------------------------------------------------------------------------- */

/* Append current's user memory from..to, at most `most` bytes, and add the flags. It is read piece by piece, each
 * within a page: a page that is not in memory costs what lies in and behind it, not all. The limit is that of the
 * text that this goes into, which the verifier must see as a constant. */
#define APPEND_USER(text, end, limit, from, to, most, flags, cut_flag, unreadable_flag)               \
	({                                                                                            \
		__u64 at_ = (from), left_ = (to) - at_;                                               \
		if (left_ > (most)) {                                                                 \
			left_ = (most);                                                               \
			(flags) |= (cut_flag);                                                        \
		}                                                                                     \
		for (int i_ = 0; i_ < (most) / PAGE + 1; i_++) {                                      \
			__u64 piece_ = PAGE - at_ % PAGE;                                             \
			if (piece_ > left_)                                                           \
				piece_ = left_;                                                       \
			opaque(end);                                                                  \
			opaque(piece_);                                                               \
			if (!piece_ || piece_ > PAGE || (end) > (limit) - PAGE)                       \
				break;                                                                \
			if (bpf_probe_read_user((text) + (end), piece_, (void *)at_)) {               \
				(flags) |= (unreadable_flag);                                         \
				break;                                                                \
			}                                                                             \
			(end) += piece_;                                                              \
			at_ += piece_;                                                                \
			left_ -= piece_;                                                              \
		}                                                                                     \
	})

static __noinline int append_arguments(struct mark_scratch *scratch, struct mm_struct *mm, __u64 end)
{
	__u32 flags = 0;
	__u64 before = end;

	APPEND_USER(scratch->text, end, sizeof(scratch->text), BPF_CORE_READ(mm, arg_start),
		    BPF_CORE_READ(mm, arg_end), OOM_ARGUMENTS, flags, OOM_ARGUMENTS_CUT,
		    OOM_ARGUMENTS_UNREADABLE);
	scratch->mark.arguments_length = end - before;
	before = end;
	APPEND_USER(scratch->text, end, sizeof(scratch->text), BPF_CORE_READ(mm, env_start),
		    BPF_CORE_READ(mm, env_end), OOM_ENVIRONMENT, flags, OOM_ENVIRONMENT_CUT,
		    OOM_ENVIRONMENT_UNREADABLE);
	scratch->mark.environment_length = end - before;
	return flags;
}

/* -- programs -------------------------------------------------------------------------------------------------- */

SEC("raw_tp/mark_victim")
int mark_victim(struct bpf_raw_tracepoint_args *ctx)
{
	const __u32 zero = 0;
	struct mark_scratch *scratch = bpf_map_lookup_elem(&mark_scratch, &zero);
	struct counters *count = bpf_map_lookup_elem(&counters, &zero);
	struct domain *running = bpf_map_lookup_elem(&domain, &zero);
	struct task_struct *current = (void *)bpf_get_current_task(), *task, *leader, *init;
	struct task_struct *trigger = BPF_CORE_READ(current, group_leader);

	if (!scratch || !count || !running)
		return 0;
	if (bpf_core_field_exists(struct trace_event_raw_mark_victim, total_vm))
		task = (void *)ctx->args[0];
	else
		task = find_task(ctx->args[0]);
	if (!task) {
		__sync_fetch_and_add(&count->lost, 1);
		return 0;
	}
	leader = BPF_CORE_READ(task, group_leader);

	struct victim key = {
		.start_ns = BPF_CORE_READ(leader, start_boottime),
		.tgid = BPF_CORE_READ(task, tgid),
	};
	const __u32 place = key.tgid % PLACES;
	struct marked *known = bpf_map_lookup_elem(&marked, &place);
	if (!known || known->start_ns == key.start_ns)
		return 0; /* a thread of it is dying */
	known->start_ns = key.start_ns;
	known->settled_ns = 0;
	struct cgroup_subsys_state *own_css = memcg_css(task), *trigger_css = memcg_css(current);
	struct cgroup_subsys_state *css = (void *)recorded((__u64)own_css);
	const __u64 inode = inode_of(css);
	const int room = share(inode);
	if (room == NONE) {
		lose(count, inode);
		known->settled_ns = key.start_ns;
		return 0;
	}

	struct oom_mark *mark = &scratch->mark;
	__builtin_memset(mark, 0, offsetof(struct oom_mark, level));
	fill_header(&mark->header, OOM_KIND_MARK, count);
	mark->tgid = key.tgid;
	mark->tid = BPF_CORE_READ(task, pid);
	mark->start_ns = key.start_ns;
	mark->uid = BPF_CORE_READ(task, real_cred, uid.val);
	mark->oom_score_adj = BPF_CORE_READ(task, signal, oom_score_adj);
	bpf_probe_read_kernel_str(mark->comm, sizeof(mark->comm), leader->comm);
	struct pid_namespace *ns = own_pid_namespace(leader, mark);
	init = BPF_CORE_READ(ns, child_reaper);
	mark->init_tgid = BPF_CORE_READ(init, tgid);
	mark->init_start_ns = BPF_CORE_READ(init, start_boottime);
	mark->init_inode = inode_of(memcg_css(init));

	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	mark->total_vm_pages = BPF_CORE_READ(mm, total_vm);
	mark->file_pages = rss(mm, 0);
	mark->anon_pages = rss(mm, 1);
	mark->swap_pages = rss(mm, 2);
	mark->shmem_pages = rss(mm, 3);
	mark->peak_rss_pages = BPF_CORE_READ(mm, hiwater_rss);
	mark->pgtables_bytes = BPF_CORE_READ(mm, pgtables_bytes.counter);

	mark->trigger_tgid = BPF_CORE_READ(current, tgid);
	mark->trigger_tid = BPF_CORE_READ(current, pid);
	mark->trigger_start_ns = BPF_CORE_READ(trigger, start_boottime);
	bpf_probe_read_kernel_str(mark->trigger_comm, sizeof(mark->trigger_comm), trigger->comm);

	scratch->group = 0;
	fill_levels(scratch, css);
	if (css != own_css)
		mark->flags |= OOM_CGROUP_CUT | OOM_LEVELS_CUT;
	__u64 end = 0;
	if (bpf_core_field_exists(struct mem_cgroup___v1, oom_lock))
		mark->flags |= OOM_LOCKS_KNOWN;
	if (running->thread == mark->trigger_tid) {
		mark->domain_inode = running->inode;
		mark->flags |= OOM_DOMAIN_KNOWN;
	}
	if (BPF_CORE_READ(own_css, cgroup, root, hierarchy_id) == 0)
		mark->flags |= OOM_UNIFIED;
	end = append_path(scratch, end, css, OOM_CGROUP_CUT);
	mark->cgroup_length = end;
	if (own_css == trigger_css) {
		mark->flags |= OOM_TRIGGER_SAME_CGROUP;
	} else {
		struct cgroup_subsys_state *deepest = trigger_css;
		trigger_css = (void *)recorded((__u64)deepest);
		if (trigger_css != deepest)
			mark->flags |= OOM_TRIGGER_CGROUP_CUT;
		end = append_path(scratch, end, trigger_css, OOM_TRIGGER_CGROUP_CUT);
		mark->trigger_cgroup_length = end - mark->cgroup_length;
	}

	bool readable = mm && mm == BPF_CORE_READ(current, mm);
	bool is_trigger = readable && key.tgid == mark->trigger_tgid; /* and not one that shares its memory (vfork) */
	if (room == SHORT) {
		mark->flags |= OOM_ARGUMENTS_OMITTED;
	} else if (readable) {
		mark->flags |= append_arguments(scratch, mm, end);
		end += mark->arguments_length + mark->environment_length;
	}
	const bool later = room == WHOLE && !readable;
	if (later || (is_trigger && scratch->group)) {
		/* Before the mark is in the ring: the victim may run already, and would find itself not waited for. */
		const struct wait wait = { .inode = inode, .thread = is_trigger ? mark->trigger_tid : 0 };
		if (bpf_map_update_elem(&pending, &key, &wait, BPF_ANY) == 0)
			mark->flags |= OOM_ARGUMENTS_FOLLOW;
	}
	if (!emit(&mark->header, sizeof(*mark), end, sizeof(scratch->text))) {
		lose(count, inode);
		known->start_ns = 0; /* should it be marked again, it is recorded then */
		bpf_map_delete_elem(&pending, &key);
	} else if (later) {
		struct arguments *arguments = bpf_map_lookup_elem(&early, &key);
		if (arguments && bpf_map_delete_elem(&pending, &key) == 0) {
			emit_arguments(arguments, inode, count);
			known->settled_ns = key.start_ns;
		}
	} else if (!(mark->flags & OOM_ARGUMENTS_FOLLOW)) {
		known->settled_ns = key.start_ns;
	}
	return 0;
}

/* out_of_memory() knows which memcg ran out, if one did, and every mark is made beneath it. Optional: not every kernel
 * has trampolines (arm64 before 6.0, or ftrace compiled out). Without, user space infers it from the levels. */
SEC("fentry/out_of_memory")
int oom_begin(__u64 *ctx)
{
	struct oom_control *control = (void *)ctx[0];
	struct mem_cgroup *memcg = BPF_CORE_READ(control, memcg);
	const __u32 zero = 0;
	struct domain *running = bpf_map_lookup_elem(&domain, &zero);

	if (running) {
		running->inode = memcg ? BPF_CORE_READ(memcg, css.cgroup, kn, id) : 0;
		running->thread = bpf_get_current_pid_tgid();
	}
	return 0;
}

SEC("fexit/out_of_memory")
int oom_end(__u64 *ctx)
{
	const __u32 zero = 0;
	struct domain *running = bpf_map_lookup_elem(&domain, &zero);

	(void)ctx;
	if (running)
		running->thread = 0;
	return 0;
}

SEC("raw_tp/signal_deliver")
int signal_deliver(struct bpf_raw_tracepoint_args *ctx)
{
	if ((int)ctx->args[0] != SIGKILL)
		return 0;
	struct task_struct *current = (void *)bpf_get_current_task();
	struct task_struct *leader = BPF_CORE_READ(current, group_leader);
	struct victim key = {
		.start_ns = BPF_CORE_READ(leader, start_boottime),
		.tgid = BPF_CORE_READ(current, tgid),
	};
	const __u32 zero = 0, place = key.tgid % PLACES;

	struct marked *known = bpf_map_lookup_elem(&marked, &place);
	if (!known || known->settled_ns == key.start_ns)
		return 0;
	struct wait *wait = bpf_map_lookup_elem(&pending, &key);
	if (wait) {
		if (wait->thread && wait->thread != (__u32)bpf_get_current_pid_tgid())
			return 0;
	} else {
		/* Threads of a process that exits by itself get a SIGKILL, too, and are no victims. */
		if (BPF_CORE_READ(current, signal, group_exit_code) != SIGKILL || bpf_map_lookup_elem(&early, &key))
			return 0;
	}
	struct arguments *scratch = bpf_map_lookup_elem(&arguments_scratch, &zero);
	struct counters *count = bpf_map_lookup_elem(&counters, &zero);
	if (!scratch || !count)
		return 0;

	struct oom_arguments *record = &scratch->record;
	fill_header(&record->header, OOM_KIND_ARGUMENTS, count);
	record->tgid = key.tgid;
	record->start_ns = key.start_ns;
	record->arguments_length = record->environment_length = 0;
	record->flags = 0;
	if (!wait || !wait->thread) { /* else it is the trigger, whose mark has them, and this is the end of its group */
		struct mm_struct *mm = BPF_CORE_READ(current, mm);
		__u32 flags = 0;
		__u64 end = 0;
		APPEND_USER(scratch->text, end, sizeof(scratch->text), BPF_CORE_READ(mm, arg_start),
			    BPF_CORE_READ(mm, arg_end), OOM_ARGUMENTS, flags, OOM_ARGUMENTS_CUT,
			    OOM_ARGUMENTS_UNREADABLE);
		record->arguments_length = end;
		APPEND_USER(scratch->text, end, sizeof(scratch->text), BPF_CORE_READ(mm, env_start),
			    BPF_CORE_READ(mm, env_end), OOM_ENVIRONMENT, flags, OOM_ENVIRONMENT_CUT,
			    OOM_ENVIRONMENT_UNREADABLE);
		record->environment_length = end - record->arguments_length;
		record->flags = flags;
	}

	/* Whoever takes the victim out of `pending` writes the record: this program, or the mark that finds it in
	 * `early`. The second look is for a mark that came between. */
	if (!wait) {
		bpf_map_update_elem(&early, &key, scratch, BPF_NOEXIST);
		wait = bpf_map_lookup_elem(&pending, &key);
		if (!wait)
			return 0;
	}
	const __u64 inode = wait->inode;
	if (bpf_map_delete_elem(&pending, &key) == 0) {
		emit_arguments(scratch, inode, count);
		known->settled_ns = key.start_ns;
	}
	return 0;
}
