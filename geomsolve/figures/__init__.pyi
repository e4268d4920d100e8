from .charts import plot_comparison as plot_comparison
from .charts import plot_dimensions as plot_dimensions
from .diagnoses import plot_diagnosis as plot_diagnosis
from .gallery.catalogue import DrawnFigure as DrawnFigure
from .gallery.catalogue import draw_figures as draw_figures
from .maps import plot_variance_map as plot_variance_map
from .realizations import plot_realization as plot_realization
from .solutions import plot_solution as plot_solution
