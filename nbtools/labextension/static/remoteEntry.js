// The extension is its schema, `schemas/nuxt-queue/roles.json`.  JupyterLab reads the schemas of
// plugins that it knows, so this is a plugin of that name that does nothing: written by hand, as
// webpack would wrap it, so that nothing has to be built.
window._JUPYTERLAB = window._JUPYTERLAB || {};
window._JUPYTERLAB["nuxt-queue"] = {
  init: () => {},
  get: () =>
    Promise.resolve(() => ({
      __esModule: true,
      default: {
        id: "nuxt-queue:roles",
        description: "Offers the roles of a queue worker's cells in the side bar.",
        autoStart: true,
        activate: () => {},
      },
    })),
};
