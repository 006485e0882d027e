// What lies over the page: at most one of the palette, the list of shortcuts, the enrolment dialog.
import { Store } from './store';

export type Overlay = 'palette' | 'shortcuts' | 'enrol' | null;
export const overlay = new Store<Overlay>(null);
export const open = (what: Overlay): void => overlay.set(what);
