from .class_matrices import ClassMatrix as ClassMatrix
from .exchangeable import Orbits as Orbits
from .factored_points import FactoredPoints as FactoredPoints
from .kernel import KernelGram as KernelGram
from .orbits import OrbitGram as OrbitGram
from .variances import ClassVariances as ClassVariances
from .variances import class_variances as class_variances
