// Mouse and keyboard of the remote screen: turns the events of one element into input while this console controls.
import { composes, ofKey } from '../session/keysym';
import { position, Wheel } from '../session/input';
import type { Screen } from '../session/screen';

// PointerEvent.button → its bit in PointerEvent.buttons
const BUTTON_BITS: Record<number, number> = { 0: 1, 1: 4, 2: 2, 3: 8, 4: 16 };
const GIVE_BACK = ['Control', 'Alt', 'Shift'] as const;

/**
 * @param box the element whose area is the picture
 * @param keys the text field over it: a field, so that dead keys and input methods can compose in it
 * @param giveBack called when Ctrl Alt Shift are held together
 * @returns ends it
 */
export function bindInput(box: HTMLElement, keys: HTMLTextAreaElement, screen: Screen, giveBack: () => void): () => void {
	const end = new AbortController();
	const { signal } = end;
	const wheel = new Wheel();
	const at = (event: MouseEvent) => position(event, box.getBoundingClientRect());

	box.addEventListener(
		'pointermove',
		(event) => {
			// with several buttons down, only the first comes as pointerdown and only the last as pointerup
			const bit = BUTTON_BITS[event.button];
			if (bit === undefined) screen.move(...at(event));
			else screen.button(event.button, (event.buttons & bit) !== 0, ...at(event));
		},
		{ signal },
	);
	box.addEventListener(
		'pointerdown',
		(event) => {
			event.preventDefault();
			keys.focus({ preventScroll: true });
			box.setPointerCapture(event.pointerId);
			screen.button(event.button, true, ...at(event));
		},
		{ signal },
	);
	box.addEventListener('pointerup', (event) => screen.button(event.button, false, ...at(event)), { signal });
	box.addEventListener('pointercancel', () => screen.releaseAll(), { signal });
	box.addEventListener('contextmenu', (event) => event.preventDefault(), { signal });
	box.addEventListener('auxclick', (event) => event.preventDefault(), { signal });
	box.addEventListener(
		'wheel',
		(event) => {
			event.preventDefault();
			const turned = wheel.add(event);
			if (turned) screen.wheel(...turned);
		},
		{ signal, passive: false },
	);

	keys.addEventListener(
		'keydown',
		(event) => {
			event.stopPropagation();
			if (composes(event)) return;
			event.preventDefault();
			const keysym = ofKey(event);
			if (event.key === 'AltGraph' && screen.isHeld('ControlLeft')) screen.keyUp('ControlLeft', null); // Windows adds it
			if (keysym !== null) screen.keyDown(event.code, keysym);
			if (GIVE_BACK.every((name) => event.getModifierState(name))) {
				screen.releaseAll();
				giveBack();
			}
		},
		{ signal },
	);
	keys.addEventListener(
		'keyup',
		(event) => {
			event.stopPropagation();
			event.preventDefault();
			// macOS tells no keyup for keys that were pressed together with the command key
			if (event.key === 'Meta') screen.releaseAll();
			else screen.keyUp(event.code, ofKey(event));
		},
		{ signal },
	);
	const typed = () => {
		if (keys.value) screen.type(keys.value);
		keys.value = '';
	};
	keys.addEventListener('input', (event) => !(event as InputEvent).isComposing && typed(), { signal });
	keys.addEventListener('compositionend', typed, { signal });
	keys.addEventListener('paste', (event) => event.preventDefault(), { signal });
	const letGo = () => screen.releaseAll();
	keys.addEventListener('blur', letGo, { signal });
	window.addEventListener('blur', letGo, { signal });
	document.addEventListener('visibilitychange', () => document.visibilityState === 'hidden' && letGo(), { signal });
	return () => {
		end.abort();
		letGo();
	};
}
