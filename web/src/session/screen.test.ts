import { afterEach, expect, it, vi } from 'vitest';
import type { PeerSession } from './peer';
import { Screen } from './screen';

afterEach(() => void vi.unstubAllGlobals());

it('a channel that opens before the page is drawn does not hide the picture', () => {
	vi.stubGlobal('document', { visibilityState: 'visible', addEventListener: () => {} });
	const sent: string[] = [];
	const channel = { readyState: 'open', send: (text: string) => void sent.push(text) } as unknown as RTCDataChannel;
	const screen = new Screen({} as PeerSession);
	screen.connect(channel);
	expect(sent.map((text) => JSON.parse(text) as unknown)).toEqual([{ type: 'hide', hidden: false }]);
	screen.setShown(false);
	expect(JSON.parse(sent.at(-1)!)).toEqual({ type: 'hide', hidden: true });
});
