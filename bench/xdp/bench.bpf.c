/*
 * The relay's XDP program with something before it that puts the packet back: a program that
 * rewrites its packet could otherwise be repeated only once. restore() alone is measured too, and
 * taken off; empty() is what BPF_PROG_TEST_RUN itself takes.
 */
#include "../../src/relay/xdp/turn.bpf.c"

#define HEAD 96 /* bytes that the program may have changed */

struct template
{
	__u32 len;
	__u8 head[HEAD];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct template);
} templates SEC(".maps");

static __always_inline int restore_packet(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct template *t = bpf_map_lookup_elem(&templates, &zero);
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	long len = end - data;

	barrier_var(len); /* 64 bits wide, or the verifier sees sums of pointers */
	if (!t || bpf_xdp_adjust_head(ctx, (int)len - (int)t->len))
		return -1;
	data = (void *)(long)ctx->data;
	if (data + HEAD > (void *)(long)ctx->data_end)
		return -1;
	__builtin_memcpy(data, t->head, HEAD);
	return 0;
}

SEC("xdp")
int restore(struct xdp_md *ctx)
{
	return restore_packet(ctx) ? XDP_ABORTED : XDP_PASS;
}

SEC("xdp")
int restore_turn(struct xdp_md *ctx)
{
	return restore_packet(ctx) ? XDP_ABORTED : turn_packet(ctx);
}

SEC("xdp")
int empty(struct xdp_md *ctx)
{
	return XDP_PASS;
}
